"""An analysis for the terminal, and as Markdown. Pure."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.rendering.markdown import bullets, escaped, markdown_table
from loadtest.analysis.model import Analysis, StepFigures
from loadtest.figures import Unit, format_figure

_HEADER = (
    *("clients", "ok", "median", "p95", "p99", "word p95", "WER"),
    *("even", "CPU", "GPU", "SLO"),
)
LEGEND = (
    "Latency in seconds, of the newest audio in each update; word p95: of each word. "
    "even: the busiest replica's sessions over the mean, 1.00 is even. CPU: of all the machine's "
    "cores."
)


def analysis_tables(analysis: Analysis) -> Group:
    """Show an analysis: the answer first, then the steps it rests on."""
    title = f"{analysis.series_id}  {analysis.label}".rstrip()
    lines: list[RenderableType] = [
        Text(title, style="bold"),
        Text(),
        Text(analysis.headline),
        Text(),
        *_labelled("Broke first" if analysis.limit_found else "", bottleneck_sentence(analysis)),
        *(line for one in analysis.others for line in _labelled("Also at its limit", one.sentence)),
        *_labelled("Inflection", analysis.inflection_sentence),
        *_labelled("Failed sessions", failures_sentence(analysis)),
        *(line for advice in analysis.advice for line in _labelled("Next", advice)),
    ]
    if analysis.warnings:
        lines.append(Text())
        lines += [Text(f"! {warning}", style="yellow") for warning in analysis.warnings]
    lines += [Text(), _table(analysis.steps), Text(LEGEND, style="dim")]
    return Group(*lines)


def bottleneck_sentence(analysis: Analysis) -> str:
    """Name what broke first, with its figures."""
    found = analysis.bottleneck
    if found is None:
        return "Nothing broke: no step missed the SLO."
    return f"{found.bottleneck.value}. {found.sentence}"


def failures_sentence(analysis: Analysis) -> str:
    """Count failed sessions by their reasons."""
    if not analysis.failures:
        return "none"
    return ", ".join(
        f"{count} {reason}"
        for reason, count in sorted(analysis.failures.items(), key=lambda item: -item[1])
    )


def _labelled(label: str, sentence: str) -> list[Text]:
    return [Text.assemble((f"{label}: " if label else "", "bold"), sentence)]


def _table(steps: Sequence[StepFigures]) -> Table:
    shown = [_cells(step) for step in steps]
    # A column that nobody knows anything of says nothing.
    known = [
        column
        for column in range(len(_HEADER))
        if column < 2 or any(cells[column] != "–" for cells in shown)
    ]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in known:
        table.add_column(_HEADER[column], justify="right", no_wrap=True)
    for step, cells in zip(steps, shown, strict=True):
        row: list[Text | str] = [cells[column] for column in known]
        row[-1] = Text(cells[-1], style={True: "green", False: "red", None: "yellow"}[step.met])
        table.add_row(*row)
    return table


def _cells(step: StepFigures) -> list[str]:
    def seconds(value: float | None) -> str:
        return format_figure(value, Unit.SECONDS).removesuffix(" s")

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value * 100:.0f} %"

    verdict = {True: "met", False: "missed", None: step.status}[step.met]
    return [
        str(step.clients),
        f"{step.sessions - step.failed}/{step.sessions}",
        seconds(step.median),
        seconds(step.p95),
        seconds(step.p99),
        seconds(step.word_p95),
        "–" if step.wer is None else f"{step.wer * 100:.1f} %",
        "–" if step.max_over_mean is None else f"{step.max_over_mean:.2f}",
        share(step.machine_cpu),
        share(step.gpu_utilisation),
        verdict,
    ]


def analysis_markdown(analysis: Analysis) -> str:
    """Write an analysis as GitHub Markdown."""
    title = escaped(f"{analysis.series_id} {analysis.label}".rstrip())
    facts = [
        f"**Broke first:** {escaped(bottleneck_sentence(analysis))}",
        *(f"**Also at its limit:** {escaped(one.sentence)}" for one in analysis.others),
        f"**Inflection:** {escaped(analysis.inflection_sentence)}",
        f"**Failed sessions:** {escaped(failures_sentence(analysis))}",
        *(f"**Next:** {escaped(advice)}" for advice in analysis.advice),
        *(f"⚠ {escaped(warning)}" for warning in analysis.warnings),
    ]
    parts = [
        f"## {title}",
        escaped(analysis.headline),
        "\n".join(f"- {fact}" for fact in facts),
        markdown_table(list(_HEADER), [_cells(step) for step in analysis.steps]),
        bullets([LEGEND]),
    ]
    return "\n\n".join(parts) + "\n"
