"""Cards in lines, and what happened to them in sentences. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtest.analysis.cost import CARD_MARK
from loadtest.figures import Unit, format_figure, format_part
from stack.status import GpuSample, ReplicaSample

_WORDS = (1, 6, 7)
"""Columns of a card's line that are no figures."""
_HOT = 85.0
"""Degrees Celsius from which on most cards begin to slow down."""


def gpu_cells(sample: ReplicaSample, *, wide: bool) -> tuple[str, str]:
    """Write a replica's GPU memory and utilisation; ``wide``: with per cent of the memory.

    Where there is little room, a figure with a mark is written shorter.
    """
    total = sample.gpu_memory_total if wide or not sample.gpu_memory_shared else None
    memory = format_part(sample.gpu_memory, total, share=wide)
    busy = format_figure(sample.gpu_utilisation, Unit.FRACTION)
    if sample.gpu_utilisation_shared and not wide:
        busy = _percent(sample.gpu_utilisation)
    return (
        memory + (CARD_MARK if sample.gpu_memory_shared else ""),
        busy + (CARD_MARK if sample.gpu_utilisation_shared else ""),
    )


def card_lines(
    cards: Sequence[GpuSample],
    samples: Mapping[str, ReplicaSample],
    *,
    wide: bool = True,
    most: int | None = None,
) -> RenderableType:
    """Show each card in one line, and in at most ``most``; those with something wrong first.

    ``wide``: there is room for the replicas that are on it, too.
    """
    shown = list(cards)
    if most is not None and len(cards) > most:
        worst = sorted(cards, key=lambda card: (not card.problem, not card.held_back, card.index))
        shown = sorted(worst[: most - 1], key=lambda card: card.index)
    rows = [list(_cells(card, wide=wide)) for card in shown]
    if wide:
        for card, row in zip(shown, rows, strict=True):
            row.append(_replicas_on(card, samples))
    table = Table.grid(padding=(0, 2 if wide else 1), expand=False)
    for column in range(8 if wide else 7):
        # Rich takes room from columns that could wrap: names and reasons are cut before figures.
        table.add_column(
            no_wrap=column not in _WORDS,
            overflow="ellipsis",
            justify="right" if 2 <= column < 6 else "left",
        )
    for row in rows:
        for cell in row:
            cell.no_wrap = True
        table.add_row(*row)
    if len(shown) == len(cards):
        return table
    return Group(table, Text(f"… and {len(cards) - len(shown)} more cards", style="dim"))


def _cells(card: GpuSample, *, wide: bool) -> Iterator[Text]:
    yield Text(f"GPU {card.index}", style="bold")
    yield Text(card.name.removeprefix("NVIDIA ").removeprefix("GeForce "))
    if card.problem:
        yield from (Text("–") for _ in range(4))
        yield Text(card.problem, style="red")
        return
    power = format_figure(None if card.power is None else round(card.power), Unit.COUNT)
    limit = "" if card.power_limit is None else f" / {card.power_limit:.0f}"
    hot = card.temperature is not None and card.temperature >= _HOT
    yield Text(format_part(card.memory_used, card.memory, share=wide))
    yield Text(_percent(card.utilisation))
    yield Text(
        "–" if card.temperature is None else f"{card.temperature:.0f} °C",
        style="yellow" if hot else "",
    )
    yield Text("–" if card.power is None else f"{power}{limit} W")
    words = [*card.held_back, *(["MIG"] if card.mig else [])]
    yield Text(", ".join(words), style="yellow" if card.held_back else "")


def _replicas_on(card: GpuSample, samples: Mapping[str, ReplicaSample]) -> Text:
    names = [name for name, sample in samples.items() if card.index in sample.gpus]
    if not names:
        return Text()
    numbers = ", ".join(name.removeprefix("replica-") for name in names)
    return Text(f"replica{'s' if len(names) > 1 else ''} {numbers}", style="dim")


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction * 100:.0f} %"


def card_happenings(
    before: Sequence[GpuSample], after: Sequence[GpuSample]
) -> Iterator[tuple[str, str, bool]]:
    """Yield what changed between two looks: the card, a sentence, and whether it is bad news."""
    known = {card.index: card.problem for card in before}
    for card in after:
        was = known.get(card.index)
        subject = f"GPU {card.index}"
        if was is None and not before:
            continue  # the first look: nothing has changed
        if was is None:
            yield subject, f"{card.name} is there.", False
        elif card.problem and card.problem != was:
            yield subject, f"No figures of {card.name}: {card.problem}.", True
        elif was and not card.problem:
            yield subject, f"{card.name} is back.", False
