"""No field of a sample is forgotten: whoever adds one is told which export lacks it."""

import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel
from support.runs import example_run

from loadtest.exports.events import json_lines
from loadtest.exports.prometheus import prometheus_text
from loadtest.exports.tables import Table, csv_text
from loadtest.runfile import Run, TimelineRow
from stack.status import BalancerSample, GpuSample, MachineSample, ReplicaSample

OFTEN = 3
"""Rows of the run: a counter that grows says more than one that stands still."""


def csv_of_all(run: Run) -> str:
    return "".join(csv_text(run, table) for table in Table)


EXPORTS: Mapping[str, Callable[[Run], str]] = {
    "csv": csv_of_all,
    "jsonl": json_lines,
    "prometheus": prometheus_text,
}


def present(annotation: Any, number: int) -> Any:
    """Return some known value of a field's type; ``number`` counts the rows."""
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin in {typing.Union, types.UnionType}:
        return present(next(one for one in arguments if one is not type(None)), number)
    if origin is tuple:
        return (present(arguments[0], number),)
    if origin is not None and issubclass(origin, Mapping):
        return {"some": present(arguments[1], number)}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        required = {
            name: present(field.annotation, number)
            for name, field in annotation.model_fields.items()
            if field.is_required()
        }
        figure = next(
            name for name, field in annotation.model_fields.items() if field.default is None
        )
        number_of = present(annotation.model_fields[figure].annotation, number)
        return annotation(**required, **{figure: number_of})
    return {bool: True, int: 7 + number, float: 0.5 + number, str: "some"}[annotation]


def fields() -> Iterator[tuple[type[BaseModel], str]]:
    for model in (ReplicaSample, BalancerSample, GpuSample, MachineSample):
        for name in model.model_fields:
            yield model, name


def filled(model: type[BaseModel], number: int, *names: str) -> Any:
    # Whether a figure is a card's own, and what a card is called, is only said where there is one.
    known = {ReplicaSample: {"gpu_memory": 1}, GpuSample: {"memory": 1}}.get(model, {})
    required = {
        name: {"index": 3, "name": "A card"}[name]
        for name, field in model.model_fields.items()
        if field.is_required()
    }
    wanted = {name: present(model.model_fields[name].annotation, number) for name in names}
    return model(**(known | required | wanted))


def run_with(model: type[BaseModel], *names: str) -> Run:
    """A run whose samples of this kind know these fields and nothing else."""
    run = example_run("run_1")
    for number in range(OFTEN):
        sample = filled(model, number, *names)
        machine = sample if model is MachineSample else MachineSample()
        if model is BalancerSample:
            machine = MachineSample(balancer=sample)
        if model is GpuSample:
            machine = MachineSample(gpus=(sample,))
        replicas = {"replica-1": sample} if model is ReplicaSample else {}
        run.timeline.append(
            TimelineRow(time=float(number), sessions=1, machine=machine, replicas=replicas)
        )
    # What it is exported with must not hang on when the run was made.
    run.created_at = run.created_at.replace(year=2026, month=1, day=1, hour=0, minute=0, second=0)
    run.created_at = run.created_at.replace(microsecond=0)
    return run


@pytest.mark.parametrize("export", EXPORTS)
@pytest.mark.parametrize(("model", "name"), fields(), ids=lambda one: getattr(one, "__name__", one))
def test_every_field_of_a_sample_is_exported(
    model: type[BaseModel], name: str, export: str
) -> None:
    write = EXPORTS[export]
    assert write(run_with(model, name)) != write(run_with(model)), (
        f"{model.__name__}.{name} is not in the {export} export: add it to stack/figures.py."
    )


@pytest.mark.parametrize("export", EXPORTS)
def test_a_run_without_telemetry_has_none_of_it(export: str) -> None:
    run = example_run("run_1")
    assert "replica_cpu_cores" not in EXPORTS["prometheus"](run)
    assert EXPORTS[export](run)
