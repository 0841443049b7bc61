"""Whether runs met what was asked of them, in sentences with their figures. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.capacity import Largest
from loadtest.plan import LoadPlan, Slo
from loadtest.runfile import Run, RunStatus, SloVerdict, Summary

DEMO_MAX_WER: Final = 0.15
_CLOSE: Final = 2.0
"""Factor of latency within which a run is close to its limit."""


def slo_verdict(summary: Summary, *, slo: Slo, baseline_wer: float | None) -> SloVerdict:
    """Hold a summary against the SLO; ``baseline_wer`` is the series' first run's, None in it."""
    reasons: list[str] = []
    latency = summary.latency
    # With fewer than 20 samples there is no p95: then even the largest must meet the limit.
    worst = latency.p95_or_max
    if slo.p95_latency is not None:
        if worst is None:
            reasons.append("no latency was measured")
        elif worst > slo.p95_latency:
            name = "p95 latency" if latency.p95 is not None else "largest latency"
            reasons.append(f"{name} {worst:.2f} s is over {slo.p95_latency:g} s")
        elif summary.latency_grew:
            reasons.append(
                "latency was still growing when the run ended, so it would pass "
                f"{slo.p95_latency:g} s in a longer one"
            )
    if slo.p95_word_latency is not None:
        words = summary.word_latency.p95_or_max if summary.word_latency is not None else None
        if words is None:
            reasons.append("no word latency was measured: it needs clips with word times")
        elif words > slo.p95_word_latency:
            reasons.append(f"p95 word latency {words:.2f} s is over {slo.p95_word_latency:g} s")
    ended = summary.successful_clients + summary.failed_clients
    if slo.success_rate is not None:
        rate = summary.successful_clients / ended if ended else 0.0
        if rate < slo.success_rate:
            reasons.append(
                f"{summary.failed_clients} of {ended} sessions failed "
                f"(success {rate:.1%}, asked {slo.success_rate:.1%})"
            )
    if slo.wer_over_baseline is not None and baseline_wer is not None and summary.wer is not None:
        over = summary.wer.wer - baseline_wer
        if over > slo.wer_over_baseline:
            reasons.append(
                f"WER {summary.wer.wer:.1%} is {over:.1%} over the first step's "
                f"{baseline_wer:.1%} (allowed {slo.wer_over_baseline:.1%})"
            )
    if reasons and summary.generator_distorted:
        reasons.insert(0, "the load generator itself was late, so this is not the server's figure")
    return SloVerdict(met=not reasons, reasons=reasons)


def generator_notes(run: Run) -> list[str]:
    """Say in sentences where the generator itself spoils what the run measured."""
    summary, notes = run.summary, []
    if summary.generator_distorted:
        slip = summary.slip.p99_or_max
        late = "" if slip is None else f" (slip p99 {slip * 1000:.0f} ms)"
        notes.append(
            f"The load generator itself was late{late}: its latencies are too large, and they are "
            "not the server's. Put it on a machine with more room, or use fewer clients."
        )
    if run.beyond_calibration:
        notes.append(
            f"{clients_text(run.test_configuration.num_clients)} are more than the "
            f"{summary.calibrated_clients} that 'whisperctl calibrate' found this machine to drive."
        )
    return notes


def run_notes(run: Run) -> list[str]:
    """Say in sentences what has to be known to read a run's figures."""
    return [*generator_notes(run), *_standstill(run)]


def _standstill(run: Run) -> list[str]:
    """Say where words took long although updates were fast.

    Latency is of updates that came. While a server stands still none come, and when it goes on
    one update catches up with all that was said: in its percentiles that is a single sample.
    """
    words, limit = run.summary.word_latency, run.test_configuration.slo.p95_latency
    updates = run.summary.latency.p95_or_max
    worst = words.p95_or_max if words is not None else None
    if worst is None or updates is None or limit is None or not updates <= limit < worst / 2:
        return []
    return [
        f"Text stood still for a while: p95 of word latency is {worst:.2f} s, while that of the "
        f"updates which came is {updates:.2f} s. People wait for words: limit them with "
        "--slo-word-p95."
    ]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement and the sentence that says it."""

    passed: bool
    sentence: str


def series_verdict(runs: Sequence[Run]) -> Verdict:
    """Say in one sentence what a series found: the largest client count that met its SLO."""
    if not runs:
        return Verdict(False, "No step was finished, so there is nothing to judge.")
    audio = f"{runs[-1].summary.average_audio_duration:.0f} s of audio each"
    failing = next((run for run in runs if not meets_slo(run)), None)
    met = [run for run in runs if meets_slo(run)]
    if failing is None:
        last = runs[-1]
        return Verdict(
            True,
            f"All steps up to {_clients(last)} met the SLO ({audio}): "
            f"{_figures(last)} at the last.",
        )
    best = max(met, key=lambda run: run.test_configuration.num_clients) if met else None
    reason = "; ".join(failing.summary.slo.reasons) if failing.summary.slo else ""
    if failing.summary.stopped_because is not None:
        reason = f"it was stopped early, as {failing.summary.stopped_because}"
    elif failing.status is not RunStatus.COMPLETED:
        cut = f"the step with {_clients(failing)} was {failing.status.value} and is not judged."
        return Verdict(
            False, f"{_clients(best)} met the SLO ({audio}); {cut}" if best else cut.capitalize()
        )
    if best is None:
        return Verdict(False, f"Not even {_clients(failing)} met the SLO ({audio}): {reason}.")
    return Verdict(
        False,
        f"{_clients(best)} met the SLO ({audio}); {_clients(failing)} did not: {reason}.",
    )


def outcome(runs: Sequence[Run], largest: Largest | None) -> Verdict:
    """Say in one sentence what a series came to; ``largest`` is a search's result."""
    return series_verdict(runs) if largest is None else capacity_verdict(runs, largest)


def capacity_verdict(runs: Sequence[Run], largest: Largest) -> Verdict:
    """Say in one sentence what a search for the capacity came to, and why no more."""
    if largest.clients is None:
        return series_verdict(runs)
    tried = [run for run in runs if run.test_configuration.num_clients == largest.clients]
    good = [run for run in tried if meets_slo(run)]
    audio = f"{good[-1].summary.average_audio_duration:.0f} s of audio each"
    text = f"Capacity: {clients_text(largest.clients)} met the SLO in "
    text += f"{len(good)} runs " if good == tried else f"{len(good)} of {len(tried)} runs "
    text += f"({audio}), "
    text += f"{_figures(good[-1])} at the last"
    if largest.capped:
        return Verdict(True, f"{text}; nothing larger was tried, see --max-clients.")
    above = (run for run in runs if run.test_configuration.num_clients > largest.clients)
    failed = [run for run in above if not meets_slo(run)]
    least = min(failed, key=lambda run: run.test_configuration.num_clients)
    reason = "; ".join(least.summary.slo.reasons) if least.summary.slo else least.status.value
    if least.summary.generator_distorted:
        reason += "; the load generator itself was late then, so the stack may hold more"
    return Verdict(True, f"{text}; {_clients(least)} did not: {reason}.")


def demo_verdict(runs: Sequence[Run]) -> Verdict:
    """Judge a demonstration: every session must succeed and every run's WER be under 15 %."""
    if not runs:
        return Verdict(False, "The demonstration finished no run.")
    ended = sum(len(run.clients) for run in runs)
    good = sum(run.summary.successful_clients for run in runs)
    rates = [run.summary.wer.wer for run in runs if run.summary.wer is not None]
    known = len(rates) == len(runs)
    wer = max(rates, default=1.0)
    last = runs[-1]
    text = f"{good} of {ended} sessions succeeded"
    if any(run.status is not RunStatus.COMPLETED for run in runs):
        text += " before the series was cut off"
    text += f", WER at most {wer:.1%}" if rates else ", WER unknown"
    text += f"; {_figures(last)} with {_clients(last)} talking at once."
    whole = all(run.status is RunStatus.COMPLETED for run in runs)
    passed = whole and good == ended and known and wer < DEMO_MAX_WER
    return Verdict(passed, ("Passed: " if passed else "Failed: ") + text)


def meets_slo(run: Run) -> bool:
    """Tell whether a run was whole and met its SLO."""
    return run.status is RunStatus.COMPLETED and run.summary.slo is not None and run.summary.slo.met


def close_to_slo(run: Run) -> bool:
    """Tell whether a run's latency was so near its limit that another may come out otherwise.

    That is within a factor of two: near its capacity a server's queue, and with it the latency,
    differs that much between runs of the same load.
    """
    limit = run.test_configuration.slo.p95_latency
    worst = run.summary.latency.p95_or_max
    if limit is None or worst is None or run.summary.stopped_because is not None:
        return False
    return limit / _CLOSE <= worst <= limit * _CLOSE


def failures_sentence(runs: Sequence[Run]) -> str:
    """Say how many sessions failed and why, over all runs; empty when none did."""
    failed = sum(run.summary.failed_clients for run in runs)
    if not failed:
        return ""
    ended = failed + sum(run.summary.successful_clients for run in runs)
    reasons: Counter[str] = Counter()
    for run in runs:
        reasons.update(run.summary.failures)
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{failed} of {ended} session{'' if ended == 1 else 's'} failed: {why}."


def replicas_text(count: int) -> str:
    """Return ``1 replica``, ``2 replicas``."""
    return f"{count} replica{'' if count == 1 else 's'}"


def clients_text(number: int) -> str:
    """Write a number of clients."""
    return f"{number} client{'' if number == 1 else 's'}"


def counts_text(counts: Sequence[int]) -> str:
    """Write client counts, such as ``5 and 10 clients``."""
    if len(counts) == 1:
        return clients_text(counts[0])
    return f"{', '.join(map(str, counts[:-1]))} and {clients_text(counts[-1])}"


def plan_text(plan: LoadPlan) -> str:
    """Say which steps a plan has."""
    if plan.find_capacity is not None:
        return f"A search for the capacity, up to {clients_text(plan.find_capacity)}"
    return f"A series of {', '.join(map(str, plan.clients))} clients"


def step_text(step: int, steps: int | None) -> str:
    """Name a step of a series; of a search nobody knows how many there will be."""
    return f"step {step}" if steps is None else f"step {step} of {steps}"


def _clients(run: Run) -> str:
    return clients_text(run.test_configuration.num_clients)


def _figures(run: Run) -> str:
    latency = run.summary.latency
    if latency.p95 is not None:
        return f"p95 latency {latency.p95:.2f} s"
    if latency.max is not None:
        return f"largest latency {latency.max:.2f} s"
    return "no latency measured"
