"""Cards in lines and in sentences."""

from io import StringIO

import pytest
from rich.console import Console

from console.rendering.cards import card_happenings, card_lines, gpu_cells
from stack.status import GpuSample, ReplicaSample

GIB = 2**30
CARD = GpuSample(index=0, name="NVIDIA L4", memory=24 * GIB, memory_used=6 * GIB, utilisation=0.5)
SAMPLES = {f"replica-{number}": ReplicaSample(gpus=(7,)) for number in (1, 2, 10)}
LOST = CARD.model_copy(update={"problem": "lost"})


def drawn(cards: list[GpuSample], width: int = 100, **values: object) -> list[str]:
    screen = Console(file=StringIO(), width=width)
    screen.print(card_lines(cards, SAMPLES, **values))  # type: ignore[arg-type]
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("sample", "wide", "cells"),
    [
        (ReplicaSample(), True, ("–", "–")),
        (
            ReplicaSample(gpu_memory=6 * GIB, gpu_memory_total=24 * GIB, gpu_utilisation=0.375),
            True,
            ("6.0 / 24.0 GiB (25 %)", "37.5 %"),
        ),
        (
            ReplicaSample(gpu_memory=6 * GIB, gpu_memory_total=24 * GIB, gpu_memory_shared=True),
            True,
            ("6.0 / 24.0 GiB (25 %) card", "–"),
        ),
        (
            ReplicaSample(gpu_memory=6 * GIB, gpu_memory_total=24 * GIB),
            False,
            ("6.0 / 24.0 GiB", "–"),
        ),
        (
            ReplicaSample(
                gpu_memory=6 * GIB,
                gpu_memory_total=24 * GIB,
                gpu_memory_shared=True,
                gpu_utilisation=1.0,
                gpu_utilisation_shared=True,
            ),
            False,
            ("6,144 MiB card", "100 % card"),
        ),
        (ReplicaSample(gpu_memory=6 * GIB), True, ("6,144 MiB", "–")),
    ],
)
def test_a_replicas_cells(sample: ReplicaSample, wide: bool, cells: tuple[str, str]) -> None:
    assert gpu_cells(sample, wide=wide) == cells


def test_what_is_unknown_is_a_dash_and_a_lost_card_says_so() -> None:
    assert drawn([CARD]) == ["GPU 0  L4  6.0 / 24.0 GiB (25 %)  50 %  –  –"]
    assert drawn([LOST]) == ["GPU 0  L4  –  –  –  –  lost"]


def test_figures_are_never_cut() -> None:
    card = CARD.model_copy(update={"name": "NVIDIA RTX 6000 Ada Generation", "power": 299.6})
    (line,) = drawn([card], width=40, wide=False)
    assert line.endswith("6.0 / 24.0 GiB 50 % – 300 W")
    assert "RTX" in line
    assert "…" in line


def test_of_many_cards_those_with_trouble_are_shown() -> None:
    hot = {"index": 7, "throttle": ("heat",)}
    cards = [CARD.model_copy(update={"index": number}) for number in range(7)]
    cards += [CARD.model_copy(update=hot), LOST.model_copy(update={"index": 8})]
    lines = drawn(cards, most=4)
    assert [line.split("  ")[0] for line in lines] == [
        "GPU 0",
        "GPU 7",
        "GPU 8",
        "… and 6 more cards",
    ]
    assert len(drawn(cards, most=9)) == 9
    assert [line.endswith("heat  replicas 1, 2, 10") for line in lines] == [
        *(False, True, False, False)
    ]
    assert "replica" not in "".join(drawn(cards, wide=False)), "there is no room"


def test_what_happens_to_a_card_is_said_once() -> None:
    back = (CARD,)
    assert list(card_happenings((), back)) == [], "what is there at first is no news"
    assert list(card_happenings(back, (LOST,))) == [
        ("GPU 0", "No figures of NVIDIA L4: lost.", True)
    ]
    assert list(card_happenings((LOST,), (LOST,))) == []
    assert list(card_happenings((LOST,), back)) == [("GPU 0", "NVIDIA L4 is back.", False)]
    new = CARD.model_copy(update={"index": 1, "name": "NVIDIA A2"})
    assert list(card_happenings(back, (CARD, new))) == [("GPU 1", "NVIDIA A2 is there.", False)]
