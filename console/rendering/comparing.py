"""Sessions per replica of what is compared, as bars. Pure."""

from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from console.rendering.run_list import plain
from loadtest.comparison.sides import Sides
from loadtest.figures import Unit, format_figure
from loadtest.runfile import Run
from loadtest.statistics import distribution
from stack.status import by_number

_STEPS: Final = "▏▎▍▌▋▊▉█"


def distribution_lines(sides: Sides, *, width: int) -> RenderableType:
    """Show how many sessions each replica served, and at what latency, one block a side."""
    lines: list[RenderableType] = []
    most = max(
        (n for _, run in sides.matched for n in run.summary.load_distribution.sessions.values()),
        default=0,
    )
    if sides.which:
        lines += [Text(f"Of {sides.which}.", style="dim"), Text()]
    for name, run in sides.matched:
        spread = run.summary.load_distribution
        even = format_figure(spread.max_over_mean, Unit.RATIO)
        head = Text.assemble((f"{name}  ", "bold"), run.run_id)
        if spread.max_over_mean is not None:
            head.append(f"   the busiest has {even} the mean", style="dim")
        lines.append(head)
        if not spread.sessions:
            lines += [Text("   Not known: nobody said which replica served.", style="dim"), Text()]
            continue
        lines += _bars(run, most, width)
        if spread.unknown:
            lines.append(Text(f"   {spread.unknown} by replicas not named", style="yellow"))
        lines.append(Text())
    return Group(*lines)


def _bars(run: Run, most: int, width: int) -> list[Text]:
    sessions = run.summary.load_distribution.sessions
    names = by_number(sessions)
    longest = max(len(plain(name)) for name in names)
    room = max(8, min(60, width - longest - 46))
    lines = []
    for name in names:
        count = sessions[name]
        clients = [client for client in run.clients if client.replica == name]
        times = distribution([time for client in clients for time in client.latency_samples])
        failed = sum(client.failure is not None for client in clients)
        line = Text(f"   {plain(name):<{longest}}  ", no_wrap=True, overflow="ellipsis")
        line.append(bar(count / most if most else 0.0, room), style="cyan")
        line.append(f" {count:>4} sessions")
        if times.median is not None:
            shown = format_figure(times.median, Unit.SECONDS)
            line.append(f"  latency median {shown}", style="dim")
        if failed:
            line.append(f"  ✗ {failed} failed", style="red")
        lines.append(line)
    return lines


def bar(share: float, room: int) -> str:
    """Draw a bar that fills a share of so many cells, to an eighth of a cell."""
    eighths = round(share * room * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_STEPS[rest - 1] if rest else "")).ljust(room)
