"""Lines of words: the stack, the load, the events."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import Resize
from textual.widgets import Label, ProgressBar, RichLog, Static

from console.live import Happening, Live
from console.rendering.cards import card_lines
from loadtest.figures import Unit, format_figure
from loadtest.verdict import clients_text
from stack.status import StackState

_STATES = {
    StackState.ABSENT: ("○", "bright_black"),
    StackState.STARTING: ("◌", "yellow"),
    StackState.READY: ("●", "green"),
    StackState.DEGRADED: ("▲", "red"),
    StackState.STOPPING: ("◐", "yellow"),
}
_CARDS, _CARDS_SHORT = 8, 3
"""Lines of cards, and those on a screen of few rows."""
_SEVERITIES = {"information": "", "warning": "yellow", "error": "red"}


class StackBar(Static):
    """The stack in one line."""

    def show(self, live: Live) -> None:
        """Show a snapshot."""
        status = live.status
        glyph, colour = _STATES[status.state]
        if live.absent or status.spec is None:
            text = Text.assemble((f"{glyph} ", colour), f"stack {status.name} is not up")
            text.append(f"  {live.busy}" if live.busy else "  press u to bring it up", style="bold")
            self.update(text)
            return
        address = status.balancer.address if status.balancer else "–"
        text = Text.assemble(
            (f"{glyph} ", colour),
            (f"{status.name} ", "bold"),
            f"{status.state.value}  ",
            f"{status.ready_replicas}/{status.spec.replicas} replicas  ",
            f"ws://{address}  ",
            f"{status.spec.balancer.strategy.value.replace('_', ' ')}  ",
            f"model {status.spec.replica.model}",
            no_wrap=True,
            overflow="ellipsis",
        )
        if live.busy:
            text.append(f"  {live.busy}", style="bold yellow")
        elif not status.supervised:
            text.append("  unsupervised: + or - starts a supervisor", style="yellow")
        self.update(text)


class CardBar(Static):
    """The machine's cards, a line each; nothing where there is none."""

    def show(self, live: Live) -> None:
        """Show a snapshot."""
        self.display = bool(live.cards)
        if live.cards:
            most = _CARDS_SHORT if self.screen.has_class("-short") else _CARDS
            wide = not self.screen.has_class("-narrow")
            self.update(card_lines(live.cards, live.samples, wide=wide, most=most))


class LoadBar(Horizontal):
    """The running load series in one line, or how to start one."""

    DEFAULT_CSS = """
    LoadBar { height: 1; }
    LoadBar > Label { width: auto; }
    LoadBar > ProgressBar { width: 22; margin: 0 1; }
    LoadBar > ProgressBar Bar { width: 1fr; }
    LoadBar > #load-figures { width: 1fr; }
    """

    def compose(self) -> ComposeResult:
        """Lay out words, bar and figures."""
        yield Label("", id="load-step", markup=False)
        yield ProgressBar(show_eta=False, show_percentage=False)
        yield Static("", id="load-figures", markup=False)

    def show(self, live: Live) -> None:
        """Show a snapshot."""
        load, bar = live.load, self.query_one(ProgressBar)
        bar.display = load is not None
        if load is None:
            hint = "no load" if live.absent else "no load: press l to start a series"
            if live.open_sessions:
                hint = f"{live.open_sessions} talking, from elsewhere; l starts a series here"
            self.query_one("#load-step", Label).update(hint)
            self.query_one("#load-figures", Static).update("")
            return
        word = "stopping" if load.stopping else f"step {load.step}/{load.steps or '?'}"
        self.query_one("#load-step", Label).update(f"load {word}: {clients_text(load.clients)}")
        bar.update(total=max(load.expected, 0.1), progress=min(load.elapsed, load.expected))
        failed = f"  ✖ {load.failed} failed" if load.failed else ""
        self.query_one("#load-figures", Static).update(
            f"{load.elapsed:.0f}/{load.expected:.0f} s  {load.sessions} talking, "
            f"{load.finished} done{failed}  WER {format_figure(load.wer, Unit.FRACTION)}"
        )


class Events(RichLog):
    """What happened, newest at the bottom."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, max_lines=500, wrap=True, markup=False, auto_scroll=True)
        self.can_focus = False
        self._shown: Happening | None = None
        self._live: Live | None = None
        self._wrapped_at = 0

    def on_resize(self, event: Resize) -> None:
        """Wrap the lines anew for another width, and keep the newest in view."""
        super().on_resize(event)
        if self._live is not None and self._wrapped_at not in {0, event.size.width}:
            self.clear()
            self._shown = None
            self.show(self._live)
        self._wrapped_at = event.size.width
        self.scroll_end(animate=False)

    def show(self, live: Live) -> None:
        """Append what is new in a snapshot."""
        self._live = live
        fresh: list[Happening] = []
        for happening in reversed(live.happenings):
            if happening is self._shown:
                break
            fresh.append(happening)
        for happening in reversed(fresh):
            self.write(
                Text.assemble(
                    (f"{happening.clock} ", "bright_black"),
                    (f"{happening.subject} ", "bold"),
                    (happening.text, _SEVERITIES.get(happening.severity, "")),
                ),
                expand=True,
            )
        if live.happenings:
            self._shown = live.happenings[-1]
