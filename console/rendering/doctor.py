"""What a machine has and lacks, as a table. Pure."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stack.doctor import Finding, Health

_HEALTH_STYLE = {Health.GOOD: "green", Health.NOTE: "yellow", Health.BAD: "red"}


def findings_table(findings: Sequence[Finding]) -> RenderableType:
    """Show what a machine has and lacks, and what to do."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("looked at", "", "engine", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(
            finding.what,
            Text(finding.health.value, style=_HEALTH_STYLE[finding.health]),
            finding.engine.value if finding.engine else "",
            escape(finding.text),
        )
    return table
