"""What being within limits means here. Pure."""

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
