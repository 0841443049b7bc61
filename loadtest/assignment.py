"""Which client plays what, and when it starts: decided by the seed alone. Pure."""

import math
import random
import uuid
from collections.abc import Sequence
from typing import Final

from loadtest.clips import Clip, ClipWord
from loadtest.plan import ClientAssignment, LoadPlan, Piece
from loadtest.wer import normalise
from stack.protocol import SAMPLE_RATE

_STARTS_A_SECOND: Final = 200


def assign(plan: LoadPlan, clients: int, clips: Sequence[Clip]) -> tuple[ClientAssignment, ...]:
    """Give each of a step's clients its clips and start.

    Client ``i`` plays the same audio in every step and every run of one seed, so that runs with
    different client counts or on different stacks stay comparable.
    """
    spread = ramp_seconds(plan, clients)
    return tuple(
        ClientAssignment(
            index=index,
            uid=str(uuid.uuid4()),
            start_after=index * spread / clients,
            pieces=_pieces(random.Random(f"{plan.seed}/{index}"), clips, plan),  # noqa: S311
        )
        for index in range(clients)
    )


def ramp_seconds(plan: LoadPlan, clients: int) -> float:
    """Return the seconds over which a step's clients start.

    Where the plan leaves it open they start over one message, so that they do not all send in the
    same millisecond, and no more than 200 a second: a thousand handshakes at once would make the
    generator late with its first messages.
    """
    return plan.ramp or max(plan.chunk, clients / _STARTS_A_SECOND)


def piece_chunks(samples: int, chunk: float) -> int:
    """Return how many messages so many samples take; silence fills up the last."""
    return math.ceil(samples / round(chunk * SAMPLE_RATE))


def _pieces(chooser: random.Random, clips: Sequence[Clip], plan: LoadPlan) -> tuple[Piece, ...]:
    if plan.duration is None:
        return (_whole(chooser.choice(clips)),)
    samples = round(plan.chunk * SAMPLE_RATE)
    remaining = round(plan.duration * SAMPLE_RATE) // samples * samples
    pieces: list[Piece] = []
    order: list[Clip] = []
    gap = 0.0
    while remaining > 0:
        if not order:
            # Every clip once before any comes again.
            order = list(clips)
            chooser.shuffle(order)
        clip = order.pop()
        if pieces and plan.gap:
            # People pause for different times; whole messages, so that they can be shared.
            gap = round(chooser.uniform(0.5, 1.5) * plan.gap / plan.chunk) * plan.chunk
            remaining -= round(gap * SAMPLE_RATE)
        if clip.samples <= remaining:
            pieces.append(_whole(clip, gap))
            remaining -= piece_chunks(clip.samples, plan.chunk) * samples
            continue
        cut = _cut(clip, max(0, remaining), gap)
        if cut is not None:
            pieces.append(cut)
        elif not pieces:
            # No clip is short enough and this one can't be cut without breaking its reference.
            pieces.append(_whole(min(clips, key=lambda candidate: candidate.samples)))
        break
    return tuple(pieces)


def _whole(clip: Clip, silence_before: float = 0.0) -> Piece:
    return Piece(
        path=clip.path,
        samples=clip.samples,
        reference=clip.reference,
        word_ends=_word_ends(clip.words, clip.reference),
        silence_before=silence_before,
    )


def _word_ends(words: Sequence[ClipWord] | None, reference: str | None) -> tuple[float, ...] | None:
    """Give where each word of the normalised reference ends, if the word times are of those."""
    if words is None or reference is None:
        return None
    # "twenty-five" is two words to the word error rate, and one to whoever timed it.
    timed = [(part, word.end) for word in words for part in normalise(word.word).split()]
    if [part for part, _ in timed] != normalise(reference).split():
        return None
    return tuple(end for _, end in timed)


def _cut(clip: Clip, samples: int, silence_before: float) -> Piece | None:
    """Return the clip's beginning of at most ``samples`` samples, cut between two words.

    None where it has no word times, or where not even one word fits.
    """
    if clip.words is None or clip.reference is None:
        return None
    limit = samples / SAMPLE_RATE
    fitting = [word for word in clip.words if word.end <= limit]
    if not fitting:
        return None
    end = limit
    if len(fitting) < len(clip.words):
        end = min(limit, max(fitting[-1].end, clip.words[len(fitting)].start))
    reference = " ".join(word.word for word in fitting)
    return Piece(
        path=clip.path,
        samples=int(end * SAMPLE_RATE),
        reference=reference,
        word_ends=_word_ends(fitting, reference),
        silence_before=silence_before,
    )


def total_duration(assignment: ClientAssignment, chunk: float) -> float:
    """Return the seconds of audio that a client sends in messages of ``chunk`` seconds."""
    return sum(
        piece_chunks(piece.samples, chunk) * chunk + piece.silence_before
        for piece in assignment.pieces
    )
