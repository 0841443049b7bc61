"""What the doctor found, taken apart: what there is, what to do, and with which command. Pure."""

import re
from dataclasses import dataclass
from typing import Final

from rich.table import Table
from rich.text import Text

from stack.doctor import Finding, Health

GLYPHS: Final = {Health.GOOD: "✓", Health.NOTE: "▲", Health.BAD: "✖"}
COLOURS: Final = {
    Health.GOOD: "green",
    Health.NOTE: "yellow",
    Health.BAD: "red",
}
_COMMANDS: Final = (
    *("whisperctl", "docker", "systemctl", "sudo", "modprobe", "nvidia-smi", "dmesg", "apt"),
    *("usermod", "nvidia-ctk", "newgrp"),
)
_QUOTED: Final = re.compile(r"'((?:" + "|".join(_COMMANDS) + r")(?: [^']*)?)'")


@dataclass(frozen=True, slots=True)
class Advice:
    """A finding taken apart."""

    found: str
    """What there is; a sentence, unless all is well."""
    todo: str
    """What to do, a sentence; ``""`` where nothing is to be done."""
    command: str
    """The first command that it names; ``""`` without one."""


def advice(finding: Finding) -> Advice:
    """Take a finding apart: what to do stands behind a semicolon, or a colon before a verb."""
    text = finding.text
    if finding.health is Health.GOOD:
        return Advice(text, "", "")
    command = _QUOTED.search(text)
    cut = re.search(r"; |: (?=(?:load|look|see|run|install|name|the driver)\b)", text)
    found, todo = (text[: cut.start()], text[cut.end() :]) if cut else (text, "")
    return Advice(_sentence(found), _sentence(todo), command[1] if command else "")


def _sentence(text: str) -> str:
    text = text.strip()
    if not text:
        return ""
    # A word that is written small, such as a path, stays so.
    first = text.split(maxsplit=1)[0]
    if first.isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else f"{text}."


def finding_line(finding: Finding) -> Text:
    """Write a finding's state: a glyph and a word, never colour alone."""
    text = f"{GLYPHS[finding.health]} {finding.health.value}"
    return Text.assemble((text, COLOURS[finding.health]))


def finding_details(finding: Finding) -> Table:
    """Write all that is known of a finding."""
    parts = advice(finding)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    engine = f", for engine {finding.engine.value}" if finding.engine else ""
    table.add_row(finding_line(finding), Text.assemble((finding.what, "bold"), engine))
    table.add_row(_name("found"), Text(parts.found))
    if parts.todo:
        table.add_row(_name("to do"), Text(parts.todo))
    if parts.command:
        table.add_row(_name("command"), Text(parts.command, style="bold"))
    return table


def _name(text: str) -> Text:
    return Text.assemble((text, "dim"))


def summary(findings: list[Finding]) -> str:
    """Count what is missing and what is noted."""
    missing = sum(finding.health is Health.BAD for finding in findings)
    notes = sum(finding.health is Health.NOTE for finding in findings)
    if not missing and not notes:
        return f"{len(findings)} looked at, all well"
    return f"{len(findings)} looked at, {missing} missing, {notes} to note"
