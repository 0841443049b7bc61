"""Which client plays what, and when it starts: decided by the seed alone. Pure."""

import random
import uuid
from collections.abc import Sequence

from loadtest.clips import Clip, ClipWord
from loadtest.plan import ClientAssignment, LoadPlan, Piece
from loadtest.wer import normalise
from stack.protocol import SAMPLE_RATE


def assign(plan: LoadPlan, clients: int, clips: Sequence[Clip]) -> tuple[ClientAssignment, ...]:
    """Give each of a step's clients its clips and start.

    Client ``i`` plays the same audio in every step and every run of one seed, so that runs with
    different client counts or on different stacks stay comparable.
    """
    spread = plan.ramp or plan.chunk
    return tuple(
        ClientAssignment(
            index=index,
            uid=str(uuid.uuid4()),
            start_after=index * spread / clients,
            pieces=_pieces(random.Random(f"{plan.seed}/{index}"), clips, plan.duration),  # noqa: S311
        )
        for index in range(clients)
    )


def _pieces(
    chooser: random.Random, clips: Sequence[Clip], duration: float | None
) -> tuple[Piece, ...]:
    if duration is None:
        return (_whole(chooser.choice(clips)),)
    remaining = round(duration * SAMPLE_RATE)
    pieces: list[Piece] = []
    order: list[Clip] = []
    while remaining > 0:
        if not order:
            # Every clip once before any comes again.
            order = list(clips)
            chooser.shuffle(order)
        clip = order.pop()
        if clip.samples <= remaining:
            pieces.append(_whole(clip))
            remaining -= clip.samples
            continue
        cut = _cut(clip, remaining)
        if cut is not None:
            pieces.append(cut)
        elif not pieces:
            # No clip is short enough and this one can't be cut without breaking its reference.
            pieces.append(_whole(min(clips, key=lambda candidate: candidate.samples)))
        break
    return tuple(pieces)


def _whole(clip: Clip) -> Piece:
    return Piece(
        path=clip.path,
        samples=clip.samples,
        reference=clip.reference,
        word_ends=_word_ends(clip.words, clip.reference),
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


def _cut(clip: Clip, samples: int) -> Piece | None:
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
    )


def total_duration(assignment: ClientAssignment) -> float:
    """Return the seconds of audio that a client plays."""
    return sum(piece.samples for piece in assignment.pieces) / SAMPLE_RATE
