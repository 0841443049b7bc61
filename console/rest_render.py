"""Tables and sentences of the REST suite for the terminal. Pure: data in, renderables out."""

from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from console.render import distribution_cells, figure_table
from loadtest.figures import Unit, format_figure
from loadtest.rest.failures import explain
from loadtest.rest.plan import MAX_CONCURRENCY, REQUESTS_A_CLIENT, RestKind, RestPlan
from loadtest.rest.report import Ended, RestReport, RestStatus, RestStep, SingleConclusion
from loadtest.rest.store import RestEntry
from loadtest.verdict import clients_text, replicas_text

_STATUS_NOTE: Final = {
    RestStatus.UNFINISHED: "It still goes on, or was cut off: the finished steps are here.",
    RestStatus.STOPPED: "It was stopped; what was measured until then is here.",
}


def step_name(step: RestStep) -> str:
    """Return what sets a step apart from the others of its measurement."""
    return clients_text(step.concurrency) if step.replicas is None else replicas_text(step.replicas)


def rate(value: float | None) -> str:
    """Write a figure a second with three digits that count; an unknown one is ``–``."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def rest_step_line(step: RestStep) -> str:
    """Say in one line what a finished step measured."""
    summary = step.summary
    return (
        f"{step_name(step):>11}  {summary.successful} of {summary.requests} ok  "
        f"{rate(summary.rps)} RPS  median {format_figure(summary.latency.median, Unit.SECONDS)}  "
        f"p95 {format_figure(summary.latency.p95, Unit.SECONDS)}"
    )


def rest_details(report: RestReport) -> RenderableType:
    """Show a measurement: how it was made, its figures, its failures and what it came to."""
    lines: list[RenderableType] = [_head(report), Text()]
    if report.steps:
        lines += [_figures(report), Text(), _latencies(report), Text()]
    else:
        lines.append(Text("No step was finished."))
    if report.configuration.kind is RestKind.SCALING:
        lines += [Text(line) for line in _per_replica(report.steps)]
    lines += [Text(line, style="yellow") for line in rest_failure_lines(report)]
    lines += [Text(line, style="yellow") for step in report.steps for line in step.notes]
    lines += [Text(line, style="red") for line in _distortions(report.steps)]
    lines += [Text(line) for line in rest_sentences(report)]
    if report.problem:
        lines.append(Text(f"It could not go on: {report.problem}", style="red"))
    elif report.status in _STATUS_NOTE:
        lines.append(Text(_STATUS_NOTE[report.status], style="yellow"))
    return Group(*lines)


def _head(report: RestReport) -> Text:
    plan = report.configuration
    language = plan.language or "detected"
    clips = f"{report.clips} clip{'' if report.clips == 1 else 's'}"
    clients = "" if plan.kind is RestKind.SINGLE else f"{clients_text(plan.concurrencies[0])}, "
    return Text.assemble(
        (report.report_id, "bold"),
        f"  {report.status.value}",
        f"  {plan.label}" if plan.label else "",
        f"\nPOST {plan.url}",
        f"\nmodel {plan.model}, language {language}, {plan.response_format.value}; {clips}, "
        f"seed {plan.seed}; {clients}{amount_text(plan)}",
    )


def amount_text(plan: RestPlan) -> str:
    """Say how long a step is."""
    if plan.duration is not None:
        return f"{plan.duration:g} s a step"
    if plan.requests >= REQUESTS_A_CLIENT * max(plan.concurrencies):
        return f"{plan.requests} requests a step"
    return f"{plan.requests} requests a step, at least {REQUESTS_A_CLIENT} a client"


def _figures(report: RestReport) -> RenderableType:
    scaling = report.configuration.kind is RestKind.SCALING
    table = figure_table(
        "replicas" if scaling else "clients",
        *("requests", "success", "RPS", "audio s/s", "RTF", "WER"),
        *(("efficiency",) if scaling else ()),
    )
    best = report.single.best_concurrency if report.single else None
    for step in report.steps:
        summary = step.summary
        factor = summary.real_time_factor
        table.add_row(
            str(step.replicas if scaling else step.concurrency),
            str(summary.requests),
            format_figure(summary.success_rate, Unit.FRACTION),
            rate(summary.rps),
            rate(summary.throughput),
            "–" if factor is None else f"{factor:.3f}",
            format_figure(summary.wer.wer if summary.wer else None, Unit.FRACTION),
            *((format_figure(summary.efficiency, Unit.FRACTION),) if scaling else ()),
            style="bold" if best == step.concurrency and not scaling else None,
        )
    return table


def _latencies(report: RestReport) -> RenderableType:
    scaling = report.configuration.kind is RestKind.SCALING
    name = "replicas" if scaling else "clients"
    table = figure_table(
        f"{name}, latency in s", "count", "min", "median", "mean", "p95", "p99", "max"
    )
    for step in report.steps:
        table.add_row(
            str(step.replicas if scaling else step.concurrency),
            *distribution_cells(step.summary.latency),
        )
    return table


def _per_replica(steps: Sequence[RestStep]) -> list[str]:
    lines = []
    for step in steps:
        spread = [f"{name} {count}" for name, count in step.summary.replicas.items()]
        if step.summary.unknown_replica:
            spread.append(f"unknown {step.summary.unknown_replica}")
        if spread:
            lines.append(f"Requests with {step_name(step)}: {', '.join(spread)}.")
    return lines


def rest_failure_lines(report: RestReport) -> list[str]:
    """Say once of each reason how many requests failed by it, at which steps, and what to do."""
    lines = []
    reasons = {failure: None for step in report.steps for failure in step.summary.failures}
    for failure in reasons:
        steps = [step for step in report.steps if failure in step.summary.failures]
        count = sum(step.summary.failures[failure] for step in steps)
        sample = next(one for one in steps[0].samples if one.failure is failure)
        meaning = explain(
            failure,
            url=report.configuration.url,
            timeout=report.configuration.timeout,
            status=sample.status,
            detail=sample.detail,
        )
        lines.append(f"{count} failed with {_names(steps)}, {failure.value}: {meaning}")
    return lines


def _names(steps: Sequence[RestStep]) -> str:
    """Return ``1 client``, ``1, 2 and 4 clients``."""
    *others, last = steps
    before = ", ".join(str(step.replicas or step.concurrency) for step in others)
    return f"{before} and {step_name(last)}" if before else step_name(last)


def _distortions(steps: Sequence[RestStep]) -> list[str]:
    late = [step for step in steps if step.summary.client_distorted]
    if not late:
        return []
    return [
        f"With {_names(late)} whisperctl itself was late or short of CPU: latencies there are too "
        "large and RPS too small. Run it where it has a core to itself."
    ]


def rest_sentences(report: RestReport) -> list[str]:
    """Say what a measurement came to."""
    if report.single is not None:
        return [_best(report, report.single), _why_ended(report, report.single.ended)]
    if report.scaling is None or report.scaling.base_rps is None:
        return ["Nothing can be said of scaling: no step was finished with a success."] * bool(
            report.steps
        )
    base = report.scaling
    lines = []
    if base.base_workers != 1:
        lines.append(
            f"One replica was not measured: its {rate(base.base_rps)} RPS are those of "
            f"{replicas_text(base.base_workers or 0)} / {base.base_workers}."
        )
    last = max(report.steps, key=lambda step: step.replicas or 0)
    if last.replicas != base.base_workers and last.summary.efficiency is not None:
        times = last.summary.efficiency * (last.replicas or 0)
        lines.append(
            f"{replicas_text(last.replicas or 0)} do {times:.2f} times the work of one: scaling "
            f"efficiency {format_figure(last.summary.efficiency, Unit.FRACTION)}."
        )
    if times_cores := _shared_cores(report, last.replicas or 0):
        lines.append(times_cores)
    return lines


def _shared_cores(report: RestReport, most: int) -> str:
    """Say why replicas of one machine can't go on adding up, where they share its cores."""
    cores, stack = report.environment.get("cores"), report.stack or {}
    on_cpu = not report.environment.get("gpus") or stack.get("replica", {}).get("device") == "cpu"
    if not isinstance(cores, int) or not stack or not on_cpu or most + 1 < cores:
        return ""
    return (
        f"Replicas, balancer and whisperctl itself share this machine's {cores} cores: replicas "
        "beyond them add little."
    )


def _best(report: RestReport, found: SingleConclusion) -> str:
    if found.best_concurrency is None:
        return (
            "There is no best concurrency: at no step did "
            f"{report.configuration.min_success:.0%} of the requests succeed."
        )
    text = f"Best concurrency: {clients_text(found.best_concurrency)}, {rate(found.best_rps)} RPS."
    if found.best_concurrency == found.max_rps_concurrency:
        more = [step for step in report.steps if (step.summary.rps or 0.0) > (found.max_rps or 0.0)]
        if more:
            return f"{text} Steps with more RPS don't count: too many requests failed."
        return f"{text} No step did more."
    return (
        f"{text} The most was {rate(found.max_rps)} RPS, with "
        f"{clients_text(found.max_rps_concurrency or 0)}: within {found.margin:.0%}, which counts "
        "as the same."
    )


def _why_ended(report: RestReport, ended: Ended) -> str:
    last = report.steps[-1]
    reasons: dict[Ended, Callable[[], str]] = {
        Ended.TOP: lambda: (
            "That was the last step; more clients may do more."
            + ("" if last.concurrency == MAX_CONCURRENCY else " See --max-concurrency.")
        ),
        Ended.FLAT: lambda: "No more clients were tried: the last two steps brought no more RPS.",
        Ended.FAILING: lambda: (
            f"No more clients were tried: with {last.concurrency} only "
            f"{format_figure(last.summary.success_rate, Unit.FRACTION)} of the requests succeeded."
        ),
        Ended.STOPPED: lambda: "More clients were not tried, as it was stopped.",
    }
    return reasons[ended]()


def rest_list(entries: Sequence[RestEntry]) -> RenderableType:
    """List measurements, newest first, and what can't be read."""
    table = figure_table("measurement", "status", "came to", "label", left=4)
    problems = []
    for entry in entries:
        if entry.report is None:
            problems.append(Text(entry.problem or "", style="yellow"))
            continue
        report = entry.report
        table.add_row(
            report.report_id,
            report.status.value,
            _came_to(report),
            escape(report.configuration.label),
        )
    return Group(table, *problems)


def _came_to(report: RestReport) -> str:
    if report.single is not None and report.single.best_concurrency is not None:
        best = clients_text(report.single.best_concurrency)
        return f"{rate(report.single.best_rps)} RPS with {best}"
    steps = [step for step in report.steps if step.summary.efficiency is not None]
    if report.scaling is not None and steps:
        last = max(steps, key=lambda step: step.replicas or 0)
        efficient = format_figure(last.summary.efficiency, Unit.FRACTION)
        return f"{replicas_text(last.replicas or 0)}: efficiency {efficient}"
    return "–"
