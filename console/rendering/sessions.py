"""Sessions and their texts on the screen. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from loadtest.alignment import AlignedWord, Fate, align, align_so_far, errors, shown_words
from loadtest.figures import Unit, format_figure
from loadtest.sessions import SessionLine, SessionText
from loadtest.watching import SessionState

GLYPHS: Final = {
    SessionState.WAITING: ("·", "bright_black"),
    SessionState.CONNECTING: ("◌", "yellow"),
    SessionState.TALKING: ("●", "green"),
    SessionState.FINISHING: ("◐", "cyan"),
    SessionState.DONE: ("✓", "green"),
    SessionState.FAILED: ("✖", "bold red"),
    SessionState.CUT_OFF: ("■", "yellow"),
}
COLUMNS: Final = {
    "client": 6,
    "state": 12,
    "replica": 12,
    "latency": 8,
    "text lag": 8,
    "WER": 7,
}
"""Names and widths: fixed, so that nothing moves while figures change."""
_WORDS_SHOWN: Final = 600
"""Of a long text the end: a screen holds no more."""
MARKS: Final = "−missed  +added  said→heard"


def state_text(state: SessionState) -> Text:
    """Name a state, with its glyph."""
    glyph, colour = GLYPHS[state]
    return Text.assemble((f"{glyph} ", colour), state.value)


def session_cells(line: SessionLine) -> list[Text]:
    """Return the cells of a session's row."""
    words = line.result.wer if line.result else None
    figures = (
        format_figure(line.latency, Unit.SECONDS),
        format_figure(line.lag, Unit.SECONDS),
        format_figure(words.wer if words else None, Unit.FRACTION),
    )
    return [
        Text(str(line.client), justify="right"),
        state_text(line.state),
        Text(line.replica or "–"),
        *(Text(figure, justify="right") for figure in figures),
    ]


def counts_text(counts: dict[SessionState, int]) -> Text:
    """Say how many sessions are in each state, which is the key to the glyphs, too."""
    parts = []
    for state, count in counts.items():
        if count:
            parts.append(Text.assemble(GLYPHS[state], f" {count} {state.value}"))
    return Text("  ").join(parts)


@dataclass(frozen=True, slots=True)
class Compared:
    """One client's text beside its reference; computed once for each change."""

    text: SessionText
    words: tuple[AlignedWord, ...] | None
    """None where there is nothing to compare."""


def compare_text(text: SessionText) -> Compared:
    """Lay a client's text beside its reference; takes milliseconds for a long one."""
    if text.reference is None or not text.whole:
        return Compared(text, None)
    if text.over:
        return Compared(text, tuple(align(text.reference, text.transcript)))
    words = align_so_far(text.reference, text.transcript, ends=text.word_ends, heard=text.heard)
    return Compared(text, tuple(words))


def text_lines(line: SessionLine, compared: Compared, *, close: bool = False) -> Text:
    """Show figures, what was said and what was heard, with the errors marked.

    ``close``: with no lines left empty between, and what was heard first.
    """
    gap = "\n" if close else "\n\n"
    text = compared.text
    shown = Text()
    shown.append_text(_figures(line, compared))
    if line.result is not None and line.result.errors:
        shown.append(f"\n{line.result.errors[-1]}", "red")
    parts = [Text.assemble(("heard  ", "bold"), _what_was_heard(compared))]
    if text.reference is not None:
        parts.insert(len(parts) if close else 0, _said(text, compared.words))
    for part in parts:
        shown.append(gap).append_text(part)
    return shown


def _what_was_heard(compared: Compared) -> Text:
    text = compared.text
    if not text.transcript:
        return Text("nothing" if text.over else "nothing yet", "italic")
    if compared.words is not None:
        return _heard(compared.words)
    why = "the text is too long to be compared while it grows"
    if text.reference is None:
        why = "there is no reference to compare it with"
    return Text.assemble(
        text.transcript if text.whole else f"… {text.transcript}",
        (f"\n({why})", "italic"),
    )


def _figures(line: SessionLine, compared: Compared) -> Text:
    text = compared.text
    parts = [f"{text.sent:.1f} of {text.duration:.1f} s sent"]
    if not text.over:
        parts.append(f"text up to {text.heard:.1f} s")
    if line.latency is not None:
        parts.append(f"latest latency {format_figure(line.latency, Unit.SECONDS)}")
    if compared.words is not None:
        found = errors(compared.words)
        wrong = [
            f"{found[fate]} {name}"
            for fate, name in (
                (Fate.SUBSTITUTED, "wrong"),
                (Fate.DELETED, "missed"),
                (Fate.INSERTED, "added"),
            )
            if found[fate]
        ]
        said = len(compared.words) - found[Fate.INSERTED]
        counted = line.result.wer if line.result else None
        if counted is not None:
            # The measurement's own figure, not ours.
            parts.append(f"WER {format_figure(counted.wer, Unit.FRACTION)}")
        of_words = f"of {said} words" + ("" if text.over else " so far")
        parts.append(f"{', '.join(wrong) or 'no error'} {of_words}")
    return Text("  ·  ".join(parts))


def _said(text: SessionText, words: Sequence[AlignedWord] | None) -> Text:
    every = shown_words(text.reference or "")
    reached = len(every) if text.over else sum(bool(word.said) for word in words or ())
    said = Text.assemble(("said   ", "bold"), "… " if reached > _WORDS_SHOWN else "")
    said.append(" ".join(every[max(0, reached - _WORDS_SHOWN) : reached]))
    # What is still to come is dim, and behind a bar: dimness alone tells some people nothing.
    if coming := every[reached : reached + _WORDS_SHOWN]:
        said.append(" ▏", "bold")
        said.append(" ".join(coming), "dim italic")
    return said


def _heard(words: Sequence[AlignedWord]) -> Text:
    heard = Text("… " if len(words) > _WORDS_SHOWN else "")
    for word in words[-_WORDS_SHOWN:]:
        match word.fate:
            case Fate.RIGHT:
                heard.append(word.heard)
            case Fate.SUBSTITUTED:
                heard.append(f"{word.said}→{word.heard}", "bold yellow")
            case Fate.DELETED:
                heard.append(f"−{word.said}", "red strike")
            case Fate.INSERTED:
                heard.append(f"+{word.heard}", "magenta underline")
        heard.append(" ")
    return heard
