"""Lines of words: the stack, the load, the events."""

import time

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import Resize
from textual.widgets import ProgressBar, RichLog, Static

from console.live import Happening, Live
from console.rendering.cards import card_lines
from console.rendering.stack_lines import progress_line, stack_line
from console.widgets.still import Still
from loadtest.figures import Unit, format_figure
from loadtest.verdict import clients_text

_CARDS, _CARDS_SHORT = 8, 3
"""Lines of cards, and those on a screen of few rows."""
_SEVERITIES = {"information": "", "warning": "yellow", "error": "red"}


class StackBar(Static):
    """The stack in one line; while something goes on with it, that in a second one."""

    DEFAULT_CSS = """
    StackBar { text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._live: Live | None = None
        self._shown: Text | None = None

    def on_resize(self) -> None:
        """Choose what is shown by the new width."""
        if self._live is not None:
            self.show(self._live)

    def show(self, live: Live) -> None:
        """Show a snapshot."""
        self._live = live
        width = self.content_size.width
        if not width:
            return  # not laid out yet: the resize comes
        progress = progress_line(live, width, time.time())
        lines = [stack_line(live, width), *([progress] if progress is not None else [])]
        text = Text("\n").join(lines)
        # Another text lays the screen out anew.
        if text != self._shown:
            self._shown = text
            self.update(text)


class CardBar(Static):
    """The machine's cards, a line each; nothing where there is none."""

    _lines = 0

    def show(self, live: Live) -> None:
        """Show a snapshot."""
        self.display = bool(live.cards)
        if live.cards:
            most = _CARDS_SHORT if self.screen.has_class("-short") else _CARDS
            wide = not self.screen.has_class("-narrow")
            lines = min(len(live.cards), most)
            # The rest of the screen moves only when there are more lines, or fewer.
            shown = card_lines(live.cards, live.samples, wide=wide, most=most)
            self.update(shown, layout=lines != self._lines)
            self._lines = lines


class LoadBar(Horizontal):
    """The running load series in one line, or how to start one."""

    DEFAULT_CSS = """
    LoadBar { height: 1; }
    LoadBar > #load-step { width: auto; }
    LoadBar > ProgressBar { width: 22; margin: 0 1; }
    LoadBar > ProgressBar Bar { width: 1fr; }
    LoadBar > #load-figures { width: 1fr; }
    """

    def compose(self) -> ComposeResult:
        """Lay out words, bar and figures."""
        yield Still("", id="load-step", markup=False)
        yield ProgressBar(show_eta=False, show_percentage=False)
        yield Still("", id="load-figures", markup=False)

    def show(self, live: Live) -> None:
        """Show a snapshot."""
        load, bar = live.load, self.query_one(ProgressBar)
        bar.display = load is not None
        if load is None:
            hint = "no load" if live.absent else "no load: press l to start a series"
            if live.open_sessions:
                hint = f"{live.open_sessions} talking, from elsewhere; l starts a series here"
            self.query_one("#load-step", Still).say(hint)
            self.query_one("#load-figures", Still).say("")
            return
        word = "stopping" if load.stopping else f"step {load.step}/{load.steps or '?'}"
        self.query_one("#load-step", Still).say(f"load {word}: {clients_text(load.clients)}")
        bar.update(total=max(load.expected, 0.1), progress=min(load.elapsed, load.expected))
        failed = f"  ✖ {load.failed} failed" if load.failed else ""
        self.query_one("#load-figures", Still).say(
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
