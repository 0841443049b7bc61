"""What one generator came to at one client count, and the tables of it. Pure."""

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel
from rich import box
from rich.table import Table

from benchmarks.streams.sink import Heard
from benchmarks.streams.usage import Usage, between
from loadtest.runfile import Distribution

OURS, LOCUST, SCRIPT = "whisperctl", "locust", "script"
GENERATORS: Final = (OURS, LOCUST, SCRIPT)
LARGEST_SLIP: Final = 0.02
"""Seconds: the 99th percentile of slip of a generator that keeps its pace."""
COLLAPSED: Final = 1.0
"""Seconds of the same at which a generator is beyond all use."""
SHARE_OF_LOCUST: Final = 0.5
STREAMS: Final = 1500
_SHORTEST_STEADY: Final = 1.0
LEGEND: Final = (
    "CPU: of the generator's processes, user and system, a message, from the first message to the "
    "last; steady: the same while all streams were there; core: share of its core in that time; "
    "slip: actual minus scheduled send time; latency: reported minus injected, median and p99; "
    "received: messages that the sink got; sink: p99 of its own lateness; "
    "others: share of a core that strangers took, of the two cores the larger."
)


class Share(BaseModel):
    """CPU time over a part of a run, and the messages that came in it."""

    usage: Usage
    messages: float

    @property
    def a_message(self) -> float | None:
        """Seconds of the generator's CPU time a message."""
        return self.usage.generator / self.messages if self.messages else None


class Measured(BaseModel):
    """One generator at one client count; seconds."""

    generator: str
    clients: int
    succeeded: int
    failures: dict[str, int] = {}
    """Failed sessions by reason."""
    slip: Distribution
    """Actual minus scheduled send time of every message."""
    latency: Distribution
    """As the generator measured it."""
    injected: Distribution
    """As it really was."""
    sink_late: Distribution
    messages: int
    """That were to be sent."""
    received: float
    """... and that the sink got."""
    sending: Share | None = None
    """From the first message to the last; None: none came."""
    steady: Share | None = None
    """From when all sessions were there to when the first had sent all; None: no such time."""
    whole_cpu: float | None = None
    """CPU seconds of the generator from its start to its end."""
    attempts: int = 1
    """How often it was measured; of several the one that others disturbed least."""
    load_average: float | None = None
    """Of the minute before."""

    @property
    def failed(self) -> int:
        """Sessions that did not succeed."""
        return self.clients - self.succeeded

    @property
    def slip_p99(self) -> float | None:
        """The 99th percentile of slip; of too few the largest."""
        return self.slip.p99_or_max

    @property
    def collapsed(self) -> bool:
        """Whether more clients make no sense."""
        return self.failed > 0 or self.slip_p99 is None or self.slip_p99 > COLLAPSED

    @property
    def keeps_pace(self) -> bool:
        """Whether every session succeeded and slip is small."""
        late = self.slip_p99
        return not self.failed and late is not None and late < LARGEST_SLIP

    @property
    def others(self) -> float | None:
        """The larger share of both cores that strangers took while it sent."""
        if self.sending is None or not self.sending.usage.time:
            return None
        used = self.sending.usage
        strangers = (
            used.generator_core - used.generator,
            used.sink_core - used.sink - used.benchmark,
        )
        return max(0.0, *strangers) / used.time


def shares(
    heard: Heard, samples: Sequence[Usage], *, clients: int, message_bytes: int
) -> tuple[Share | None, Share | None]:
    """Return the share of the whole sending and of its steady part."""

    def share(first: int, last: int) -> Share:
        begin, end = heard.moments[first], heard.moments[last]
        messages = (end.audio - begin.audio) / message_bytes
        return Share(usage=between(samples, begin.time, end.time), messages=messages)

    audio = [moment.audio for moment in heard.moments]
    if not samples or not audio or not audio[-1]:
        return None, None
    # The row before the first audio: sending began between the two.
    first = max(0, next(i for i, nbytes in enumerate(audio) if nbytes) - 1)
    sending = share(first, audio.index(audio[-1]))
    steady = [
        i for i, moment in enumerate(heard.moments) if moment.begun == clients and not moment.ended
    ]
    if not steady:
        return sending, None
    part = share(steady[0], steady[-1])
    return sending, part if part.usage.time >= _SHORTEST_STEADY else None


def cost_table(results: Sequence[Measured], *, looks: box.Box = box.HEAVY_HEAD) -> Table:
    """Return the table of CPU time and slip; ``LEGEND`` says what is in it."""
    table = _table("CPU µs", "steady µs", "core", "slip p50 ms", "p99 ms", "failed", looks=looks)
    for one in results:
        steady = one.steady
        table.add_row(
            one.generator,
            str(one.clients),
            _micro(one.sending),
            _micro(steady),
            _percent(steady.usage.generator / steady.usage.time if steady else None),
            _milli(one.slip.median),
            _milli(one.slip_p99),
            str(one.failed),
        )
    return table


def check_table(results: Sequence[Measured], *, looks: box.Box = box.HEAVY_HEAD) -> Table:
    """Return the table of what tells whether the figures can be trusted."""
    table = _table("latency +ms", "p99 +ms", "received", "sink ms", "others", looks=looks)
    for one in results:
        table.add_row(
            one.generator,
            str(one.clients),
            _milli(_off(one, "median")),
            _milli(_off(one, "p99")),
            # Whole percents would hide a lost message.
            "all" if one.received == one.messages else f"{one.received:.0f} of {one.messages}",
            _milli(one.sink_late.p99),
            _percent(one.others),
        )
    return table


def _table(*headings: str, looks: box.Box) -> Table:
    table = Table(box=looks)
    table.add_column("generator", no_wrap=True)
    for heading in ("streams", *headings):
        table.add_column(heading, justify="right")
    return table


def ratio_table(results: Sequence[Measured], *, looks: box.Box = box.HEAVY_HEAD) -> Table:
    """Return the table of our CPU time a message over that of the others, at the same count."""
    table = Table(box=looks)
    table.add_column("streams", justify="right")
    others = [key for key in (LOCUST, SCRIPT) if any(one.generator == key for one in results)]
    for key in others:
        table.add_column(f"{OURS} / {key}", justify="right")
        table.add_column("steady", justify="right")
    for clients in sorted({one.clients for one in results}):
        cells = [
            "–" if ratio is None else f"{ratio:.2f}"
            for key in others
            for part in ("sending", "steady")
            for ratio in (_ratio(results, key, clients, part),)
        ]
        if set(cells) != {"–"}:
            table.add_row(str(clients), *cells)
    return table


def verdicts(results: Sequence[Measured]) -> list[str]:
    """Say what became of the two claims, and how far each generator goes."""
    said = []
    counts = sorted({one.clients for one in results})
    spans = []
    for part, name in (("sending", "from first to last message"), ("steady", "steady")):
        ratios = [_ratio(results, LOCUST, clients, part) for clients in counts]
        known = [ratio for ratio in ratios if ratio is not None]
        if known:
            met = "met" if max(known) <= SHARE_OF_LOCUST else "MISSED"
            spans.append(f"{name} {min(known):.2f} to {max(known):.2f} ({met})")
    if spans:
        said.append(f"CPU a message at most {SHARE_OF_LOCUST:g} of Locust's: {'; '.join(spans)}.")
    for key in GENERATORS:
        of_it = [one for one in results if one.generator == key]
        if not of_it:
            continue
        most = max((one.clients for one in of_it if one.keeps_pace), default=0)
        claim = ""
        if key == OURS and max(one.clients for one in of_it) >= STREAMS:
            claim = f" At least {STREAMS} asked: {'met' if most >= STREAMS else 'MISSED'}."
        said.append(
            f"{key}: of the counts tried the most with slip p99 under {LARGEST_SLIP * 1000:g} ms "
            f"and no failed session: {most or 'none'}.{claim}"
        )
    for one in results:
        if one.failures:
            reasons = ", ".join(f"{count} {reason}" for reason, count in one.failures.items())
            said.append(f"{one.generator}, {one.clients} streams: {one.failed} failed ({reasons}).")
    return said


def _ratio(results: Sequence[Measured], key: str, clients: int, part: str) -> float | None:
    costs: dict[str, float] = {}
    for one in results:
        share: Share | None = getattr(one, part)
        if one.clients == clients and share is not None and share.a_message:
            costs[one.generator] = share.a_message
    return costs[OURS] / costs[key] if OURS in costs and key in costs else None


def _off(one: Measured, percentile: str) -> float | None:
    """Return reported minus injected latency."""
    reported, injected = (getattr(what, percentile) for what in (one.latency, one.injected))
    return None if reported is None or injected is None else reported - injected


def _micro(share: Share | None) -> str:
    cost = share.a_message if share is not None else None
    return "–" if cost is None else f"{cost * 1e6:.0f}"


def _milli(value: float | None) -> str:
    return "–" if value is None else f"{value * 1000:.1f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
