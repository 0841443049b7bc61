"""The list of saved runs: which lines it has, in what order, and what stands in them. Pure."""

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from loadtest.entries import Kind, RunEntry
from loadtest.figures import Unit, format_figure
from loadtest.runfile import RunStatus
from loadtest.series import SeriesCapacity, judged_capacity

UNUSABLE: Final = "\0unusable"
"""Stands for a series: the files that are no runs."""
_FEW: Final = 5
"""So many files that are no runs are shown at once; more are folded up until asked for."""


class Order(Enum):
    """What the list is sorted by; the value says it in words."""

    NEWEST = "newest first"
    P95 = "lowest p95 first"
    WER = "lowest WER first"
    CLIENTS = "most clients first"

    @property
    def following(self) -> "Order":
        """The order that comes after this one, round and round."""
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a saved file, or the name of a series above its runs."""

    key: str
    """The same in every list that has this line."""
    entry: RunEntry | None = None
    """None of a series' line."""
    series: str = ""
    """The series that the line is the name of; ``UNUSABLE`` above files that are no runs."""
    members: tuple[RunEntry, ...] = ()
    """Of a series' line: its runs in the list, in order."""
    total: int = 0
    """Of a series' line: how many runs it has, those that the filter hides included."""
    folded: bool = False
    tree: str = ""
    """Leads from a series' line to its runs."""


def key_of(entry: RunEntry) -> str:
    """Return what names an entry."""
    return str(entry.path)


def haystack(entry: RunEntry) -> str:
    """Return the text that a filter looks into."""
    parts = (
        entry.label,
        entry.note,
        entry.run_id or entry.path.name,
        entry.series_id,
        entry.status,
        result(entry).words,
        entry.host,
        entry.model,
        entry.kind.value,
        entry.problem,
    )
    return "\n".join(part for part in parts if part).casefold()


def matching(entries: Iterable[RunEntry], filter_text: str) -> list[RunEntry]:
    """Return the entries that hold every word of the filter, in any case."""
    words = filter_text.casefold().split()
    if not words:
        return list(entries)
    return [
        entry
        for entry in entries
        if all(word in text for text in (haystack(entry),) for word in words)
    ]


def ordered(entries: Iterable[RunEntry], order: Order) -> list[RunEntry]:
    """Sort entries; what is unknown is last, and of equals the newest first."""
    newest = sorted(entries, key=_created, reverse=True)
    match order:
        case Order.NEWEST:
            return newest
        case Order.CLIENTS:
            return sorted(newest, key=lambda entry: -(entry.clients or 0))
        case Order.P95:
            return _least(newest, operator.attrgetter("p95_latency"))
        case Order.WER:
            return _least(newest, operator.attrgetter("wer"))


def _created(entry: RunEntry) -> tuple[float, str]:
    return (entry.created_at.timestamp() if entry.created_at else 0.0, str(entry.path))


def _least(
    entries: Iterable[RunEntry], figure: Callable[[RunEntry], float | None]
) -> list[RunEntry]:
    def place(entry: RunEntry) -> tuple[bool, float]:
        value = figure(entry)
        return value is None, value or 0.0

    return sorted(entries, key=place)


def arranged(
    entries: Sequence[RunEntry],
    *,
    filter_text: str = "",
    order: Order = Order.NEWEST,
    grouped: bool = True,
    folded: Mapping[str, bool] | None = None,
) -> list[Row]:
    """Return the lines of the list.

    ``grouped``: the runs of a series stand below its name, where it has more than one.
    ``folded`` says of a series whether only its name is shown.
    """
    shown = matching(entries, filter_text)
    good = ordered((entry for entry in shown if entry.problem is None), order)
    bad = [entry for entry in shown if entry.problem is not None]
    totals: dict[str, int] = {}
    for entry in entries:
        totals[_series(entry)] = totals.get(_series(entry), 0) + 1
    folds = folded or {}
    rows: list[Row] = []
    if grouped:
        series: dict[str, list[RunEntry]] = {}
        for entry in good:
            series.setdefault(_series(entry), []).append(entry)
        for name, members in series.items():
            if totals[name] > 1:
                rows += _group(name, members, totals[name], folded=folds.get(name, False))
            else:
                rows += [Row(key_of(entry), entry) for entry in members]
    else:
        rows += [Row(key_of(entry), entry) for entry in good]
    if len(bad) > 1:
        # Never folded where a filter asks for them.
        many = folds.get(UNUSABLE, len(bad) > _FEW and not filter_text)
        rows += _group(UNUSABLE, bad, totals[UNUSABLE], folded=many)
    else:
        rows += [Row(key_of(entry), entry) for entry in bad]
    return rows


def _series(entry: RunEntry) -> str:
    if entry.problem is not None:
        return UNUSABLE
    # What is of no series is one of its own.
    return entry.series_id or f"\0{entry.path}"


def _group(name: str, members: Sequence[RunEntry], total: int, *, folded: bool) -> list[Row]:
    head = Row(
        key=f"\0series {name}", series=name, members=tuple(members), total=total, folded=folded
    )
    if folded:
        return [head]
    last = len(members) - 1
    return [
        head,
        *(
            Row(key_of(entry), entry, tree="└ " if number == last else "├ ")
            for number, entry in enumerate(members)
        ),
    ]


@dataclass(frozen=True, slots=True)
class Result:
    """How a run came out: a glyph, words, and what style they take."""

    glyph: str
    words: str
    style: str

    def __str__(self) -> str:
        return f"{self.glyph} {self.words}"


def result(entry: RunEntry) -> Result:
    """Say how a run came out, its SLO first."""
    if entry.problem is not None:
        return Result("?", "unusable", "warning")
    if entry.status == RunStatus.INTERRUPTED.value:
        return Result("▲", "interrupted", "warning")
    if entry.met is False:
        return Result("✗", "SLO missed", "bad")
    if entry.status == RunStatus.COMPLETED.value and entry.met:
        return Result("✓", "SLO met", "good")
    glyph = "■" if entry.status == RunStatus.STOPPED.value else "●"
    return Result(glyph, entry.status or "", "warning" if glyph == "■" else "")


def entries_capacity(entries: Iterable[RunEntry]) -> SeriesCapacity:
    """Return the capacity that the entries of a series show."""
    return judged_capacity(
        (entry.clients, entry.met and entry.status == RunStatus.COMPLETED.value)
        for entry in entries
        if entry.clients is not None and entry.met is not None
    )


def series_words(row: Row, marked: Collection[str]) -> list[tuple[str, str]]:
    """Name a series, with what its runs show: pieces of text and their styles."""
    sign = "▸" if row.folded else "▾"
    count = len(row.members)
    shown = f"{count:,}" if count == row.total else f"{count:,} of {row.total:,}"
    if row.series == UNUSABLE:
        return [(f"{sign} {shown} files that can't be used", "warning")]
    chosen = sum(key_of(entry) in marked for entry in row.members)
    label = ", ".join(dict.fromkeys(entry.label for entry in row.members if entry.label))
    counts = sorted({entry.clients for entry in row.members if entry.clients is not None})
    span = f", {counts[0]} to {counts[-1]} clients" if len(counts) > 1 else ""
    met = [entry.met for entry in row.members if entry.met is not None]
    pieces = [(f"{sign} ", ""), (plain(label) if label else row.series, "series")]
    if chosen:
        pieces.append((f"  ✓ {chosen} marked", "mark"))
    pieces.append((f"  {shown} runs{span}", "dim"))
    if met:
        clients = entries_capacity(row.members).clients
        words = "none met the SLO" if clients is None else f"SLO met up to {clients:,}"
        pieces.append((f"  {words}", "dim"))
    if label:
        pieces.append((f"  {row.series}", "dim"))
    return pieces


def subtitle(order: Order, filter_text: str, *, marked: int, unseen: int) -> str:
    """Say how the list is sorted and filtered, and how many are marked, ``unseen`` included."""
    parts = [order.value]
    if marked:
        parts.append(f"✓ {marked} marked" + (f", {unseen} not shown" if unseen else ""))
    if filter_text:
        parts.append(f"filter '{filter_text}'")
    return "  ".join(parts)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the list."""

    name: str
    width: int
    """Cells; 0: what the others leave."""
    text: Callable[[RunEntry], str]
    right: bool = True
    style: str = ""


def _when(entry: RunEntry, form: str) -> str:
    return f"{entry.created_at.astimezone():{form}}" if entry.created_at else "–"


def _success(entry: RunEntry) -> str:
    ended = (entry.successful or 0) + (entry.failed or 0)
    return f"{entry.successful}/{ended}" if ended else "–"


def _label(entry: RunEntry) -> str:
    if entry.problem is not None:
        return entry.problem
    kind = "REST: " if entry.kind is Kind.REST else ""
    parts = [part for part in (entry.label, entry.note) if part]
    return plain(kind + " – ".join(parts))


SHORT_WHEN: Final = Column("when", 11, lambda entry: _when(entry, "%m-%d %H:%M"), right=False)
LONG_WHEN: Final = Column("when", 19, lambda entry: _when(entry, "%Y-%m-%d %H:%M:%S"), right=False)
CLIENTS: Final = Column("clients", 7, lambda entry: format_figure(entry.clients, Unit.COUNT))
P95: Final = Column("p95", 8, lambda entry: format_figure(entry.p95_latency, Unit.SECONDS))
WER: Final = Column("WER", 7, lambda entry: format_figure(entry.wer, Unit.FRACTION))
SUCCESS: Final = Column("success", 9, _success)
AUDIO: Final = Column("audio", 8, lambda entry: format_figure(entry.audio_duration, Unit.SECONDS))
RESULT: Final = Column("result", 13, lambda entry: str(result(entry)), right=False, style="result")
LABEL: Final = Column("label", 0, _label, right=False)
MODEL: Final = Column("model", 16, lambda entry: plain(entry.model or "–"), False, "dim")
HOST: Final = Column("host", 14, lambda entry: plain(entry.host or "–"), False, "dim")
RUN: Final = Column("run", 34, lambda entry: plain(entry.run_id or "–"), False, "dim")

_LEAST_LABEL: Final = 12
GAP: Final = 2
LEFT: Final = 5
"""Cells of cursor, mark and tree before the first column."""


def columns(width: int) -> list[Column]:
    """Return the columns that fit; what matters less is left out first.

    When, clients, p95, result and label are always there.
    """
    chosen = [SHORT_WHEN, CLIENTS, P95, RESULT, LABEL]
    for column in (WER, SUCCESS, AUDIO, LONG_WHEN, MODEL, RUN, HOST):
        more = [*chosen, column]
        if column is LONG_WHEN:
            more.remove(SHORT_WHEN)
        room = _LEAST_LABEL if column in {WER, SUCCESS} else 18
        if _needed(more) + room <= width:
            chosen = more
    order = (SHORT_WHEN, LONG_WHEN, CLIENTS, P95, WER, SUCCESS, AUDIO, RESULT, LABEL)
    return sorted(chosen, key=(*order, MODEL, HOST, RUN).index)


def _needed(chosen: Sequence[Column]) -> int:
    return LEFT + sum(column.width + GAP for column in chosen)


def widths(chosen: Sequence[Column], width: int) -> list[int]:
    """Return each column's cells; the label takes what is left."""
    rest = max(1, width - _needed(chosen) + GAP)
    return [column.width or rest for column in chosen]


def plain(text: str) -> str:
    """Make text from a file fit to be drawn: on one line, and nothing that moves the cursor."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else "�" for sign in text)
