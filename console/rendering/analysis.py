"""An analysis for the terminal, and as Markdown. Pure."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.rendering.markdown import bullets, escaped, markdown_table
from loadtest.analysis.cost import COST_TITLE, cost_table
from loadtest.analysis.model import Analysis, StepFigures
from loadtest.analysis.words import (
    STEP_HEADER,
    STEP_LEGEND,
    bottleneck_sentence,
    failures_sentence,
    known_columns,
    step_cells,
)


def analysis_tables(analysis: Analysis) -> Group:
    """Show an analysis: the answer first, then the steps it rests on."""
    title = f"{analysis.series_id}  {analysis.label}".rstrip()
    glyph, style = _verdict(analysis)
    lines: list[RenderableType] = [
        Text.assemble((f"{glyph} ", style), (analysis.headline, "bold")),
        Text(title, style="dim"),
        Text(),
        _table(analysis.steps),
        Text(STEP_LEGEND, style="dim"),
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
    lines += _cost(analysis)
    return Group(*lines)


def _cost(analysis: Analysis) -> list[RenderableType]:
    header, rows, legend = cost_table(analysis.steps)
    if not rows:
        return []
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(header):
        table.add_column(name, justify="left" if place == 1 else "right", no_wrap=True)
    before = None
    for clients, *cells in rows:
        table.add_row(clients if clients != before else "", *cells)
        before = clients
    return [Text(), Text(COST_TITLE, style="bold"), table, Text(legend, style="dim")]


def _verdict(analysis: Analysis) -> tuple[str, str]:
    if analysis.capacity is not None:
        return "✓", "bold green"
    judged = any(step.met is not None for step in analysis.steps)
    return ("✗", "bold red") if judged else ("–", "bold yellow")


def _labelled(label: str, sentence: str) -> list[Text]:
    return [Text.assemble((f"{label}: " if label else "", "bold"), sentence)]


def _table(steps: Sequence[StepFigures]) -> Table:
    shown = [step_cells(step) for step in steps]
    known = known_columns(shown)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in known:
        table.add_column(STEP_HEADER[column], justify="right", no_wrap=True)
    for step, cells in zip(steps, shown, strict=True):
        row: list[Text | str] = [cells[column] for column in known]
        sign = {True: "✓ ", False: "✗ ", None: ""}[step.met]
        row[-1] = Text(
            f"{sign}{cells[-1]}", style={True: "green", False: "red", None: "yellow"}[step.met]
        )
        table.add_row(*row)
    return table


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
        markdown_table(list(STEP_HEADER), [step_cells(step) for step in analysis.steps]),
        bullets([STEP_LEGEND]),
        *_cost_markdown(analysis),
    ]
    return "\n\n".join(parts) + "\n"


def _cost_markdown(analysis: Analysis) -> list[str]:
    header, rows, legend = cost_table(analysis.steps, wide=True)
    if not rows:
        return []
    return [f"### {COST_TITLE}", markdown_table(header, rows), bullets([legend])]
