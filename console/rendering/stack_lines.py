"""The stack in one line, and what goes on with it in another. Pure."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Final

from rich.text import Text

from console.live import Live
from stack.status import (
    ReplicaSample,
    ReplicaState,
    ReplicaStatus,
    StackState,
    sessions_text,
)

STATES: Final = {
    StackState.ABSENT: ("○", "bright_black"),
    StackState.STARTING: ("◌", "yellow"),
    StackState.READY: ("●", "green"),
    StackState.DEGRADED: ("▲", "red"),
    StackState.STOPPING: ("◐", "yellow"),
}
_SHORTEST_MODEL: Final = 8
_SOON: Final = 0.4
"""Seconds before an operation is worth a line: most are over by then."""


def stack_line(live: Live, width: int) -> Text:
    """Say what the stack is in ``width`` cells.

    Name, state, replicas, sessions and model are always there; where it is reached and how the
    balancer chooses come where there is room.
    """
    status = live.status
    glyph, colour = STATES[status.state]
    if live.absent or status.spec is None:
        text = Text.assemble((f"{glyph} ", colour), f"stack {status.name} is not up", no_wrap=True)
        text.append("" if live.busy else "  press u to bring it up", style="bold")
        return text
    wanted = status.spec.replicas if live.wanted is None else live.wanted
    counted = f"{status.ready_replicas}/{wanted}"
    pending = "bold yellow" if status.ready_replicas != wanted else ""
    talking = live.known_sessions
    sessions = "– sessions" if talking is None else sessions_text(talking)
    address = f"  ws://{status.balancer.address}" if status.balancer else ""
    strategy = f"  {status.spec.balancer.strategy.value.replace('_', ' ')}"
    head = Text.assemble(
        (f"{glyph} ", colour),
        (f"{status.name} ", "bold"),
        f"{status.state.value}  ",
        (counted, pending),
        no_wrap=True,
    )
    full = status.spec.replica.model
    name = PurePath(full).name or full
    for replicas, word, model, rest in (
        (" replicas", "model ", full, address + strategy),
        (" replicas", "model ", name, address + strategy),
        (" replicas", "model ", name, address),
        (" replicas", "model ", name, ""),
        ("", "", name, ""),
    ):
        text = head.copy().append(f"{replicas}  {sessions}  {word}{model}{rest}")
        if text.cell_len <= width:
            return text
    over = text.cell_len - width
    kept = max(_SHORTEST_MODEL, len(name) - over)
    short = f"{name[: kept - 1]}…" if kept < len(name) else name
    return head.append(f"  {sessions}  {short}")


def progress_line(live: Live, width: int, now: float) -> Text | None:
    """Say what goes on, how long it has taken and what is awaited; None when nothing does."""
    if live.trouble:
        lasted = seconds_text(now - live.trouble_since)
        return _cut(Text(f"▲ no answer for {lasted}: {live.trouble}", style="bold red"), width)
    awaited = live.step or awaited_text(live, now)
    unwatched = not live.absent and not live.status.supervised
    warning = "nobody watches the stack: + or - does again" if unwatched else ""
    if live.busy and (awaited or now - live.busy_since >= _SOON):
        text = Text(
            f"◐ {live.busy.removesuffix(' …')} {seconds_text(now - live.busy_since)}",
            style="bold yellow",
        )
        if live.way_back:
            text.append(f" ({live.way_back})", style="not bold")
    elif live.status.doing:
        text = Text(f"◐ {live.status.doing}", style="bold yellow")
    elif awaited:
        text, awaited = Text(f"◐ {awaited}", style="yellow"), ""
    elif warning:
        return _cut(Text(f"▲ {warning}", style="yellow"), width)
    else:
        return None
    if awaited:
        text.append(f": {awaited}", style="not bold")
    if warning:
        text.append(f"; {warning}")
    return _cut(text, width)


def _cut(text: Text, width: int) -> Text:
    text.no_wrap = True
    text.truncate(max(1, width), overflow="ellipsis")
    return text


def awaited_text(live: Live, now: float, named: int = 2) -> str:
    """Name the replicas that are on their way somewhere, and how far they are."""
    told = [
        f"{replica.name} {note}"
        for replica in live.status.replicas
        if (note := replica_note(replica, live.samples, now))
    ]
    if len(told) > named:
        return f"{', '.join(told[:named])}, and {len(told) - named} more"
    return ", ".join(told)


def replica_note(replica: ReplicaStatus, samples: Mapping[str, ReplicaSample], now: float) -> str:
    """Say what a replica that isn't ready is doing, and for how long; nothing of a ready one."""
    lasted = "" if replica.since is None else f" {seconds_text(now - replica.since)}"
    match replica.state:
        case ReplicaState.STARTING:
            return f"{replica.detail or 'is started'}{lasted}"
        case ReplicaState.DRAINING:
            sessions = samples.get(replica.name, ReplicaSample()).sessions
            keeps = "drains" if sessions is None else f"keeps {sessions_text(sessions)}"
            left = ""
            if replica.deadline is not None:
                left = f", {seconds_text(max(0.0, replica.deadline - now))} at most"
            return f"{keeps}{left}{', then is replaced' if replica.wanted else ''}"
        case ReplicaState.DEAD:
            return f"is started again{f' ({replica.detail})' if replica.detail else ''}"
        case ReplicaState.UNHEALTHY:
            return f"does not answer{lasted}"
        case _:
            return ""


def seconds_text(seconds: float) -> str:
    """Write a time span as people say it: ``8 s``, ``2 min 5 s``, ``1 h 2 min``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
