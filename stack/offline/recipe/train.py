"""Training: windows composed on the fly, four losses, the mean of the last weights kept.

Progress is counted in minutes rather than steps, because the recipe is for ordinary machines
that others use too; the log tells the steps. One thread trains, one composes: with OpenMP's
spinning threads two trainers' threads on a busy machine are ten times slower than one.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stack.offline.recipe import tokenizer
from stack.offline.recipe.corpus import Piece, load_noises, load_pieces
from stack.offline.recipe.network import ALIGNED_HEADS, PHONEME_CLASSES, Network, load_weights
from stack.offline.recipe.windows import (
    IGNORED,
    PLACES,
    POSITIONS_A_SECOND,
    Composer,
    Mixture,
    Window,
)

MARKS: Final = frozenset(tokenizer.NUMBERS[mark] for mark in ".?")


@dataclass(frozen=True)
class Stage:
    """What windows are drawn until a share of the training is over."""

    until: float
    sizes: tuple[tuple[int, int, float], ...]
    """(frames, windows in a batch, weight)"""
    offset: float
    """Share of windows placed anywhere in the encoder's table, which short ones else never see."""
    mixture: Mixture = Mixture(previous_text=0.25)  # noqa: RUF009 (frozen)


GENTLE: Final = Mixture(noisy=0.35, coloured=0.3, warped=0.35, previous_text=0.3)
"""For the end: more like what is listened to, less like the worst of it."""

_LATE: Final = ((600, 12, 0.4), (1000, 10, 0.8), (1500, 6, 0.8), (2000, 5, 1.2), (3000, 4, 3))
CURRICULA: Final[dict[str, tuple[Stage, ...]]] = {
    "scratch": (
        Stage(0.25, ((400, 16, 1), (600, 12, 1)), 0.8),
        Stage(0.45, ((600, 12, 1), (1000, 8, 1)), 0.7),
        Stage(0.60, ((600, 12, 1), (1000, 8, 1.5), (3000, 4, 0.7)), 0.5),
        Stage(0.80, ((400, 16, 0.5), (1000, 8, 1), (2000, 5, 1), (3000, 4, 2)), 0.15),
        Stage(1.00, _LATE, 0.05, GENTLE),
    ),
    "continue": (
        Stage(
            0.20,
            ((300, 20, 0.3), (600, 14, 1), (1000, 10, 1.5), (2000, 5, 1), (3000, 4, 1.5)),
            0.2,
        ),
        Stage(
            0.55,
            (
                (400, 18, 0.3),
                (600, 14, 0.4),
                (1000, 10, 1),
                (1500, 6, 1),
                (2000, 5, 1.5),
                (3000, 4, 2),
            ),
            0.1,
        ),
        Stage(1.00, _LATE, 0.03, GENTLE),
    ),
    "finish": (Stage(1.00, _LATE, 0.03, GENTLE),),
}


@dataclass(frozen=True)
class Settings:
    """One training."""

    corpus: Path
    checkpoint: Path
    initial: Path | None = None
    resume: bool = False
    curriculum: str = "scratch"
    minutes: float = 90
    learning_rate: float = 2e-3
    seed: int = 0
    warmup_steps: int = 200
    averaging: float = 0.998
    save_every: float = 180
    """Seconds."""


@dataclass(frozen=True)
class Batch:
    """Windows as tensors: B windows of F frames, N tokens."""

    mels: Tensor  # (B, 80, F) float32
    offsets: Tensor  # (B,)
    inputs: Tensor  # (B, N)
    targets: Tensor  # (B, N)
    spans: Tensor  # (B, N, 2) encoder positions of the word that is the target; empty if none
    words: Tensor  # (B, F / 2)
    phonemes: Tensor  # (B, F / 2)
    places: Tensor  # (B, F / 2, 3)
    counts: Tensor  # (B, N) ordinal of the word that is the target


def collate(windows: list[Window]) -> Batch:
    """Stack windows of one size."""
    count, longest = len(windows), max(len(window.inputs) for window in windows)
    positions = len(windows[0].words)
    inputs = np.full((count, longest), tokenizer.END, np.int64)
    targets = np.full((count, longest), IGNORED, np.int64)
    spans = np.zeros((count, longest, 2), np.int64)
    counts = np.full((count, longest), IGNORED, np.int64)
    for row, window in enumerate(windows):
        counts[row, : len(window.targets)] = word_counts(window.targets)
        inputs[row, : len(window.inputs)] = window.inputs
        targets[row, : len(window.targets)] = window.targets
        for column, span in enumerate(window.spans):
            if span is not None:
                low = max(0, int(span[0] * POSITIONS_A_SECOND) - 1)
                high = min(positions, int(span[1] * POSITIONS_A_SECOND) + 2)
                spans[row, column] = (low, high)
    return Batch(
        mels=torch.from_numpy(np.stack([window.mels for window in windows])),
        offsets=torch.tensor([window.offset for window in windows]),
        inputs=torch.from_numpy(inputs),
        targets=torch.from_numpy(targets),
        spans=torch.from_numpy(spans),
        words=torch.from_numpy(np.stack([window.words for window in windows])),
        phonemes=torch.from_numpy(np.stack([window.phonemes for window in windows])),
        places=torch.from_numpy(np.stack([window.places for window in windows])),
        counts=torch.from_numpy(counts),
    )


class Stream(torch.utils.data.IterableDataset[Batch]):
    """Batches without end, drawn as the curriculum has it at the time."""

    def __init__(self, composer: Composer, settings: Settings, elapsed: float) -> None:
        self.composer = composer
        self.settings = settings
        self.elapsed = elapsed

    def __iter__(self) -> Iterator[Batch]:
        """Draw batches; runs in a process of its own."""
        torch.set_num_threads(1)
        source = np.random.default_rng((self.settings.seed, int(self.elapsed)))
        begun = time.monotonic() - self.elapsed
        stages = CURRICULA[self.settings.curriculum]
        while True:
            progress = (time.monotonic() - begun) / (60 * self.settings.minutes)
            stage = next((stage for stage in stages if progress < stage.until), stages[-1])
            self.composer.mixture = replace(stage.mixture, offset=stage.offset)
            weights = np.array([weight for _, _, weight in stage.sizes])
            frames, count, _ = stage.sizes[source.choice(len(weights), p=weights / weights.sum())]
            yield collate([self.composer.compose(source, frames) for _ in range(count)])


def phoneme_classes(pieces: list[Piece]) -> dict[str, int]:
    """Give numbers to the phonemes that occur often enough to learn; pauses stay with silence."""
    counts = Counter(span.text for piece in pieces for span in piece.phonemes)
    common = [name for name, _ in counts.most_common() if not name.startswith("_")]
    return {name: number for number, name in enumerate(common[: PHONEME_CLASSES - 1], start=1)}


def word_counts(targets: list[int]) -> list[int]:
    """Give for every target the number of its word in its sentence; ignored where it is none."""
    counts, number = [], 0
    for target in targets:
        spoken = 0 <= target < tokenizer.END and target not in MARKS
        number = number + 1 if spoken else 0
        counts.append(min(number, PLACES["ordinal"] - 1) if spoken else IGNORED)
    return counts


def losses(network: Network, batch: Batch) -> dict[str, Tensor]:
    """Give the losses of a batch, by the names in ``LOSS_WEIGHTS``."""
    with torch.autocast("cpu", torch.bfloat16):
        encoded = network.encoder(batch.mels, batch.offsets)
        states, attention, first = network.decoder(batch.inputs, encoded)
        targeted = batch.targets != IGNORED
        logits = states[targeted] @ network.decoder.embed_tokens.weight.t()
        words, phonemes = network.word_head(encoded), network.phoneme_head(encoded)
        places = [head(encoded) for head in network.place_heads]
        counted = batch.counts != IGNORED
        counts = network.count_head(first[counted])
    return {
        "text": functional.cross_entropy(logits.float(), batch.targets[targeted]),
        "words": classes_loss(words, batch.words),
        "phonemes": classes_loss(phonemes, batch.phonemes),
        **{
            name: classes_loss(given, batch.places[..., column])
            for column, (name, given) in enumerate(zip(PLACES, places, strict=True))
        },
        "count": functional.cross_entropy(counts.float(), batch.counts[counted])
        if counted.any()
        else torch.zeros(()),
        "attention": attention_loss(attention, batch.spans),
    }


def classes_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Give the cross-entropy of classes (B, T) by logits (B, T, classes)."""
    return functional.cross_entropy(
        logits.float().flatten(0, 1), classes.flatten(), ignore_index=IGNORED
    )


def attention_loss(attention: list[Tensor], spans: Tensor) -> Tensor:
    """Punish heads that don't look at the sound they are to write, or just wrote.

    ``attention`` holds (B, HEADS, N, T) of every decoder layer; ``spans`` is (B, N, 2).
    """
    spoken = spans[..., 1] > spans[..., 0]
    if not spoken.any():
        return torch.zeros(())
    positions = torch.arange(attention[0].shape[-1])

    def within(chosen: Tensor) -> Tensor:
        return (positions[None] >= chosen[:, :1]) & (positions[None] < chosen[:, 1:])

    inside = within(spans[spoken])
    total = torch.zeros(())
    for weights in attention[-2:]:
        looked = weights.transpose(1, 2)[spoken][:, :ALIGNED_HEADS]
        total = total - torch.log((looked * inside[:, None]).sum(-1) + 1e-4).mean() / 2
    # The first layer's first head finds where the word just written ended: with it, a repeated
    # word is known from the one before it.
    following = torch.zeros_like(spoken)
    following[:, 1:] = spoken[:, :-1]
    before = within(spans[:, :-1][spoken[:, :-1]])
    looked = attention[0][:, 0][following]
    return total - torch.log((looked * before).sum(-1) + 1e-4).mean() / 2


LOSS_WEIGHTS: Final = {
    "text": 1.0,
    "words": 0.5,
    "phonemes": 0.2,
    "ordinal": 0.3,
    "previous": 0.3,
    "run": 0.3,
    "count": 0.2,
    "attention": 0.5,
}
"""Against the text's loss; all but the text's are halved for the last four tenths."""


def learning_rate(settings: Settings, step: int, progress: float) -> float:
    """Give the learning rate: a short rise, then a cosine down to a fiftieth."""
    rise = min(1.0, (step + 1) / settings.warmup_steps)
    return (
        settings.learning_rate * rise * (0.02 + 0.49 * (1 + math.cos(math.pi * min(1, progress))))
    )


def make_optimizer(network: Network) -> torch.optim.Optimizer:
    """Give AdamW with decay on matrices only."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [one for one in trained if one.dim() > 1], "weight_decay": 0.01},
            {"params": [one for one in trained if one.dim() <= 1], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
        fused=True,
    )


class Average:
    """The running mean of the weights, which is what is shipped."""

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.clone() for name, value in network.state_dict().items()}

    def update(self, network: Network, step: int) -> None:
        """Take in the weights after a step."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            self.weights[name].lerp_(value, share)


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint so that a reader finds the old one or the new one."""
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.rename(path)


def train(settings: Settings) -> None:
    """Train until the minutes are over; the checkpoint holds the averaged weights."""
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    pieces = list(load_pieces(settings.corpus))
    composer = Composer(
        pieces, load_noises(settings.corpus), phoneme_classes(pieces), mixture=Mixture()
    )
    network, step, elapsed, seconds = Network(), 0, 0.0, 0.0
    optimizer = make_optimizer(network)
    if settings.initial:
        missing = load_weights(network, settings.initial)
        print(f"from {settings.initial.name}, without {missing}", flush=True)
    average = Average(network, settings.averaging)
    if settings.resume:
        stored = torch.load(settings.checkpoint, map_location="cpu")
        network.load_state_dict(stored["raw"])
        optimizer.load_state_dict(stored["optimizer"])
        average.weights = stored["model"]
        step, elapsed, seconds = stored["step"], stored["elapsed"], stored["seconds"]
    stream = torch.utils.data.DataLoader(
        Stream(composer, settings, elapsed), batch_size=None, num_workers=1, prefetch_factor=4
    )
    begun = time.monotonic() - elapsed
    saved, means = time.monotonic(), dict.fromkeys(LOSS_WEIGHTS, 0.0)

    def keep() -> None:
        save(
            settings.checkpoint,
            {
                "model": average.weights,
                "raw": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "elapsed": time.monotonic() - begun,
                "seconds": seconds,
            },
        )

    for batch in stream:
        progress = (time.monotonic() - begun) / (60 * settings.minutes)
        if progress >= 1:
            break
        rate = learning_rate(settings, step, progress)
        for group in optimizer.param_groups:
            group["lr"] = rate
        each = losses(network, batch)
        less = 1.0 if progress < 0.6 else 0.5
        total = torch.stack(
            [
                each[name] * weight * (1.0 if name == "text" else less)
                for name, weight in LOSS_WEIGHTS.items()
            ]
        ).sum()
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        average.update(network, step)
        seconds += batch.mels.shape[0] * batch.mels.shape[2] / 100
        for name, value in each.items():
            share = max(0.03, 1 / step)
            means[name] += share * (float(value.detach()) - means[name])
        if step % 50 == 0:
            shown = " ".join(f"{name} {value:.4f}" for name, value in means.items())
            print(
                f"{progress:.3f} step {step} hours {seconds / 3600:.2f} rate {rate:.2e} {shown}",
                flush=True,
            )
        if time.monotonic() - saved > settings.save_every:
            saved = time.monotonic()
            keep()
    keep()
    print(f"{step} steps, {(time.monotonic() - begun) / 60:.1f} minutes", flush=True)
