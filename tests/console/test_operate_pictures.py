"""How operating the stack looks: what goes on, dialogs with their plans, questions."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from support.console import at_rest, until
from support.engine import FakeEngine
from textual.pilot import Pilot
from textual.widgets import Input

from console.app import WhisperctlApp
from console.history import Moment
from stack.spec import ReplicaSpec, StackSpec
from stack.status import ReplicaSample, ReplicaState, StackState, StackStatus

Apps = Callable[..., WhisperctlApp]
Compare = Callable[..., bool]
NOW = 1_770_000_060.0

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures were taken with Python 3.11"
)


class BusyEngine(FakeEngine):
    """Stands still in the middle of a change of the model."""

    async def status(self) -> StackStatus:
        status = await super().status()
        if status.state is StackState.ABSENT or len(status.replicas) < 4:
            return status
        first, second, third, fourth = status.replicas[:4]
        changed = (
            first.model_copy(update={"model": "small"}),
            second.model_copy(
                update={
                    "state": ReplicaState.DRAINING,
                    "since": NOW - 8,
                    "deadline": NOW + 22,
                    "wanted": False,
                }
            ),
            third.model_copy(
                update={
                    "state": ReplicaState.STARTING,
                    "since": NOW - 95,
                    "detail": "downloading the model, 212 MiB so far",
                }
            ),
            fourth.model_copy(
                update={"state": ReplicaState.DEAD, "since": NOW - 1, "detail": "killed, as asked"}
            ),
        )
        return status.model_copy(
            update={
                "state": StackState.DEGRADED,
                "replicas": changed,
                "doing": "changing to model 'small', 1 of 3 replaced",
                "spec": status.spec.model_copy(
                    update={"replicas": 3, "replica": ReplicaSpec(model="small")}
                )
                if status.spec is not None
                else None,
            }
        )


def still(app: WhisperctlApp, monkeypatch: pytest.MonkeyPatch) -> WhisperctlApp:
    """Let no second pass."""
    monkeypatch.setattr("console.app.time.time", lambda: NOW)
    samples = {
        "replica-1": ReplicaSample(cpu=0.42, memory=957 * 2**20, sessions=5, queue_depth=1),
        "replica-2": ReplicaSample(cpu=0.31, memory=149 * 2**20, sessions=2, queue_depth=0),
        "replica-3": ReplicaSample(cpu=0.02, memory=49 * 2**20),
    }
    assert isinstance(app.engine, FakeEngine)
    app.engine.samples = samples

    async def sample_once() -> None:
        app.history.add(Moment(1000.0, samples, (None, None, None), wer=None))
        app.live = app.live.with_samples(samples)

    monkeypatch.setattr(app, "_sample", lambda: app.run_worker(sample_once()))
    return app


@pytest.fixture
def busy(make_app: Apps, monkeypatch: pytest.MonkeyPatch) -> WhisperctlApp:
    return still(make_app(engine=BusyEngine(up=StackSpec(replicas=4))), monkeypatch)


@pytest.fixture
def calm(make_app: Apps, monkeypatch: pytest.MonkeyPatch) -> WhisperctlApp:
    return still(make_app(engine=FakeEngine(up=StackSpec(replicas=2))), monkeypatch)


async def settle(pilot: Pilot[Any]) -> None:
    app = pilot.app
    assert isinstance(app, WhisperctlApp)
    await until(pilot, lambda: app.live.tick > 0 and bool(app.live.status.replicas))
    await at_rest(pilot)


@pytest.mark.parametrize(
    ("size", "theme"),
    [((80, 24), "textual-dark"), ((140, 45), "textual-light"), ((250, 70), "textual-dark")],
    ids=["80x24", "140x45-light", "250x70"],
)
def test_operate_what_goes_on(
    busy: WhisperctlApp, snap_compare: Compare, size: tuple[int, int], theme: str
) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        pilot.app.theme = theme
        await settle(pilot)

    assert snap_compare(busy, terminal_size=size, run_before=look)


@pytest.mark.parametrize("key", ["n", "t", "M", "K"])
def test_operate_dialogs(calm: WhisperctlApp, snap_compare: Compare, key: str) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press(key)
        await until(pilot, lambda: len(pilot.app.screen_stack) > 1)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
            field.value = {"n": "1", "M": "large-v3"}[key]
        await at_rest(pilot)

    assert snap_compare(calm, terminal_size=(80, 24), run_before=ask)


def test_operate_model_dialog_wide(calm: WhisperctlApp, snap_compare: Compare) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        pilot.app.theme = "textual-light"
        await settle(pilot)
        await pilot.press("M")
        await until(pilot, lambda: len(pilot.app.screen_stack) > 1)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
            field.value = "small"
        await at_rest(pilot)

    assert snap_compare(calm, terminal_size=(140, 45), run_before=ask)
