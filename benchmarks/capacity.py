"""How the largest client count within limits is found, and what being within them means. Pure."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.plan import Slo
from loadtest.runfile import Run, RunStatus
from loadtest.verdict import slo_verdict

LIMITS: Final = Slo(p95_latency=2.0, success_rate=1.0, wer_over_baseline=0.01)
"""WER counts from upstream's default mode with one session."""
REFINEMENTS: Final = 4
"""At most so many steps between the last good and the first bad rung."""
RESOLUTION: Final = 1 / 8
"""It is good enough to know the largest count to this fraction of it."""


@dataclass(frozen=True, slots=True)
class Largest:
    """What a search came to."""

    clients: int | None
    """None: not even the smallest count was confirmed."""
    capped: bool = False
    """No count that was tried failed: the true one may be larger."""


def judge(run: Run, *, limits: Slo, baseline_wer: float | None) -> list[str]:
    """Return why a run misses the limits; nothing where it meets them.

    ``baseline_wer`` is a fraction; None where it is unknown: then WER is not limited.
    """
    summary = run.summary
    reasons = []
    if run.status is not RunStatus.COMPLETED:
        reasons.append(f"the run was {run.status.value}")
    reasons += slo_verdict(summary, slo=limits, baseline_wer=None).reasons
    if limits.wer_over_baseline is not None and baseline_wer is not None:
        allowed = baseline_wer + limits.wer_over_baseline
        if summary.wer is None:
            reasons.append("WER is unknown")
        elif summary.wer.wer > allowed + 1e-9:
            reasons.append(f"WER {summary.wer.wer:.1%} is over {allowed:.1%}")
    return reasons


def rungs(counts: Sequence[int], cap: int) -> list[int]:
    """Return the counts up to ``cap``, in order and each once."""
    return sorted({count for count in counts if count <= cap})


def search(ladder: Sequence[int]) -> Generator[int, bool, Largest]:
    """Look for the largest client count within limits; ``ladder`` rises.

    Yields the counts to measure and is sent whether that run met the limits. A count that is asked
    for again wants a run of its own. The result is a count whose two runs both met them.
    """
    good: list[int] = []
    bad: int | None = None
    for count in ladder:
        if not (yield count):
            bad = count
            break
        good.append(count)
    budget = REFINEMENTS
    while good:
        best = good[-1]
        while bad is not None and budget and bad - best > max(1, int(best * RESOLUTION)):
            budget -= 1
            middle = (best + bad) // 2
            if (yield middle):
                best = middle
                good.append(middle)
            else:
                bad = middle
        if (yield best):
            return Largest(best, capped=bad is None)
        # Once good, once not: not good enough, and now there may be room below it.
        good.pop()
        bad = best
    return Largest(None)
