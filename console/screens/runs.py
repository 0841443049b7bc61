"""Saved runs: find them, read them, mark them, compare them, keep them in order."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Footer, Input

from console.keeping import Keeping
from console.rendering.run_list import UNUSABLE, Order, Row, arranged, key_of, subtitle
from console.screens.actions import ScreenActions
from console.screens.base import ConsoleScreen
from console.screens.opening import analysis, comparison
from console.widgets.run_list import RunList
from console.widgets.run_pane import RunPane
from console.widgets.screen_bar import ScreenBar
from loadtest.catalogue import Catalogue
from loadtest.entries import Kind, RunEntry, RunFileError

_LOOK: Final = 1.0
"""Seconds after which the directory is looked at again."""
_FILL: Final = 0.25
"""Seconds after which a list that is still being read is shown as far as it is known."""


class RunsScreen(ConsoleScreen):
    """Find, read, mark, name and throw away saved runs."""

    HELP = """
## Runs

Every step of a load series is one run, newest first, below the name of its series; REST
measurements stand among them. Mark two or more with the space bar, or whole series with `A`, and
compare them with `c`: the first marked is what the others are held against. `a` says what a whole
series found. Marks stay when a filter (`/`) hides their runs. What goes to the trash (`x`) stays in
`.trash` beside the runs, and `z` brings it back. Files that are broken or not ours are listed, and
left alone.
"""
    COMMANDS = Screen.COMMANDS | {ScreenActions}
    HORIZONTAL_BREAKPOINTS = [*ConsoleScreen.HORIZONTAL_BREAKPOINTS, (180, "-huge")]  # noqa: RUF012
    DEFAULT_CSS = """
    RunsScreen #results { height: 1fr; }
    RunsScreen RunList { height: 1fr; margin: 0 1; }
    RunsScreen #finding {
        display: none; height: 1; border: none; margin: 0 2; padding: 0 1; background: $boost;
    }
    RunsScreen.-finding #finding { display: block; }
    RunsScreen.-huge #results { layout: horizontal; }
    RunsScreen.-huge RunList { width: 3fr; margin-right: 0; }
    RunsScreen.-huge RunPane { width: 2fr; }
    RunsScreen.-reading RunList { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", id="runs.mark", tooltip="Mark for comparing"),
        Binding("c", "compare", "Compare", id="runs.compare", tooltip="Compare what is marked"),
        Binding("a", "analyse", "Analyse", id="runs.analyse", tooltip="Say what the series found"),
        Binding("slash", "find", "Filter", key_display="/", id="runs.find", tooltip="By words"),
        Binding("o", "order", "Sort", id="runs.order", tooltip="Newest, p95, WER, clients"),
        Binding("e", "edit", "Edit", id="runs.edit", tooltip="Change label and note"),
        Binding("x,delete", "trash", "Trash", id="runs.trash", tooltip="Move to the trash"),
        Binding("enter", "read", "Read", id="runs.read", tooltip="Whole screen", show=False),
        Binding("A", "series", "Mark series", id="runs.series", tooltip="All its runs", show=False),
        Binding("U", "unmark", "Unmark", id="runs.unmark", tooltip="All of them", show=False),
        Binding("z", "restore", "Undo", id="runs.restore", tooltip="Of the trash", show=False),
        Binding("y", "copy", "Copy path", id="runs.copy", tooltip="To the clipboard", show=False),
        Binding("g", "group", "Group", id="runs.group", tooltip="By series or not", show=False),
        Binding(
            "left",
            "fold(True)",
            "Fold up",
            id="runs.fold",
            tooltip="Show a series' name only",
            show=False,
        ),
        Binding(
            "right",
            "fold(False)",
            "Unfold",
            id="runs.unfold",
            tooltip="Show a series' runs",
            show=False,
        ),
        Binding(
            "f5",
            "refresh",
            "Refresh",
            id="runs.refresh",
            tooltip="Read the directory again",
            show=False,
        ),
        Binding("escape", "back", "Back", id="runs.back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._catalogue: Catalogue | None = None
        self._entries: dict[str, RunEntry] = {}
        self._marked: dict[str, None] = {}
        """In the order of marking."""
        self._folded: dict[str, bool] = {}
        self._order = Order.NEWEST
        self._grouped = True
        self._problem = ""
        """Why the directory can't be read."""
        self._complete = False
        """All files have been read once."""
        self._keeping = Keeping(self)

    def compose(self) -> ComposeResult:
        """Lay out the list and the details."""
        yield ScreenBar("runs")
        with Vertical(id="results"):
            yield RunList(id="run-list")
            yield RunPane(id="run-pane")
        yield Input(placeholder="words of label, note, series, status, host, model", id="finding")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin with the list."""
        self.query_one(RunList).focus()

    def on_screen_resume(self) -> None:
        """Follow the directory while the screen is seen."""
        super().on_screen_resume()
        self.action_refresh()

    def on_screen_suspend(self) -> None:
        """Look no more while it is not seen."""
        self.workers.cancel_group(self, "runs")

    # --- the list -------------------------------------------------------------------------------

    @work(exclusive=True, group="runs")
    async def action_refresh(self) -> None:
        """Read the results directory, and go on looking what comes and goes."""
        if self._catalogue is None:
            self._catalogue = Catalogue(self.console_app.store)
        while True:
            latest: list[RunEntry] = []
            problem = ""
            try:
                listings = self._catalogue.listings(_FILL)
                while (found := await asyncio.to_thread(next, listings, None)) is not None:
                    latest = found
                    if not self._complete:
                        self._take(latest)
            except RunFileError as error:
                problem = str(error)
            first = not self._complete
            self._complete = True
            self._take(latest, problem, anew=first)
            await asyncio.sleep(_LOOK)

    def _take(self, entries: Sequence[RunEntry], problem: str = "", *, anew: bool = False) -> None:
        found = {key_of(entry): entry for entry in entries}
        same = (found, problem) == (self._entries, self._problem)
        if (same and not anew) or not self.query(RunList):
            return  # nothing new, or the console was left meanwhile
        self._entries, self._problem = found, problem
        if self._complete:
            self._marked = {key: None for key in self._marked if key in found}
        self._fill()

    @property
    def _filter(self) -> str:
        return self.query_one("#finding", Input).value

    def _fill(self) -> None:
        """Show the list as it is to be shown now."""
        rows = arranged(
            list(self._entries.values()),
            filter_text=self._filter,
            order=self._order,
            grouped=self._grouped,
            folded=self._folded,
        )
        table = self.query_one(RunList)
        table.show(rows, self._marked)
        self._title()
        if not rows:
            self._say_why_empty()

    @property
    def _shown(self) -> set[str]:
        """What the filter leaves, folded up or not."""
        rows = self.query_one(RunList).rows
        shown = {key_of(one) for row in rows for one in row.members}
        return shown | {row.key for row in rows if row.entry is not None}

    def _title(self) -> None:
        table, total, shown = self.query_one(RunList), len(self._entries), self._shown
        count = f"{total:,}" if len(shown) == total else f"{len(shown):,} of {total:,}"
        coming = "" if self._complete else ", reading …"
        # As text: a directory's name may hold brackets, which are markup in a plain string.
        noun, directory = "run" if total == 1 else "runs", self.console_app.store.directory
        table.border_title = Text(f"{count} {noun} in {directory}{coming}")
        unseen = len(self._marked.keys() - shown)
        words = subtitle(self._order, self._filter, marked=len(self._marked), unseen=unseen)
        table.border_subtitle = Text(words)

    def _say_why_empty(self) -> None:
        directory = self.console_app.store.directory
        if self._problem:
            text = Text(self._problem, style="yellow")
        elif self._entries:
            text = Text(f"Nothing holds all words of '{self._filter}': escape shows all again.")
        elif self._complete:
            text = Text(f"No run in {directory} yet: press 2, then l to start a load.")
        else:
            text = Text("Reading …")
        self.query_one(RunPane).show_text(text)

    @property
    def _row(self) -> Row | None:
        return self.query_one(RunList).row

    def _of_row(self, row: Row) -> list[RunEntry]:
        """Return what a line stands for: a file, or all files of a series, hidden ones too."""
        if row.entry is not None:
            return [row.entry]
        if row.series == UNUSABLE:
            return list(row.members)
        return self._of_series(row.series)

    def _of_series(self, series: str) -> list[RunEntry]:
        return [entry for entry in self._entries.values() if entry.series_id == series]

    @on(RunList.Highlighted)
    def _show_details(self) -> None:
        row = self._row
        if row is not None:
            self.query_one(RunPane).show_row(row)

    def action_read(self) -> None:
        """Give the details the whole screen, or fold a series."""
        row = self._row
        if row is None:
            return
        if row.entry is None and not self.has_class("-reading"):
            self.action_fold(not row.folded)
            return
        self._reading(not self.has_class("-reading"))

    @on(RunList.Chosen)
    def _clicked(self) -> None:
        self.action_read()

    def _reading(self, whole: bool) -> None:
        self.set_class(whole, "-reading")
        self.query_one(RunPane if whole else RunList).focus()

    # --- what is shown --------------------------------------------------------------------------

    def action_find(self) -> None:
        """Ask what words the runs must hold."""
        self._reading(False)
        self.add_class("-finding")
        self.query_one("#finding", Input).focus()

    @on(Input.Changed, "#finding")
    def _found(self) -> None:
        self._fill()

    @on(Input.Submitted, "#finding")
    def _end_finding(self) -> None:
        self.set_class(bool(self._filter), "-finding")
        self.query_one(RunList).focus()

    def action_order(self) -> None:
        """Sort by the next figure."""
        self._order = self._order.following
        self._fill()

    def action_group(self) -> None:
        """Show runs below their series, or all in one list."""
        self._grouped = not self._grouped
        self._fill()

    def action_fold(self, folded: bool) -> None:
        """Show only the name of the series under the cursor, or its runs."""
        row = self._row
        if row is None:
            return
        series = row.series
        if row.entry is not None:
            if not row.tree:
                return
            series = UNUSABLE if row.entry.problem is not None else row.entry.series_id or ""
        self._folded[series] = folded
        self._fill()
        self.query_one(RunList).move_to(f"\0series {series}")

    def action_back(self) -> None:
        """Leave the details, then the filter, then the screen."""
        field = self.query_one("#finding", Input)
        if self.has_class("-reading"):
            self._reading(False)
        elif self.has_class("-finding"):
            field.value = ""
            self.remove_class("-finding")
            self.query_one(RunList).focus()
        else:
            self.console_app.action_show("dashboard")

    # --- marks ----------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark or unmark the run, or the shown runs of the series, under the cursor."""
        row = self._row
        if row is None:
            return
        if self._toggle(list(row.members) if row.entry is None else [row.entry]):
            self.query_one(RunList).action_move(1)

    def action_series(self) -> None:
        """Mark or unmark the whole series of the line under the cursor."""
        series = self._series()
        if series is not None:
            self._toggle(self._of_series(series))

    def _series(self) -> str | None:
        """Return the series of the line under the cursor; says so where it is of none."""
        row = self._row
        if row is None:
            return None
        series = row.series or (row.entry.series_id if row.entry is not None else None)
        if series is None or series == UNUSABLE:
            self._warn("This is no run of a series.")
            return None
        return series

    def _toggle(self, entries: Sequence[RunEntry]) -> bool:
        if any(entry.problem is not None for entry in entries):
            self._warn("This file can't be compared." if len(entries) == 1 else "These can't be.")
            return False
        if any(entry.kind is Kind.REST for entry in entries):
            self._warn("A REST measurement can't be compared with runs; its details say it all.")
            return False
        keys = [key_of(entry) for entry in entries]
        if all(key in self._marked for key in keys):
            for key in keys:
                del self._marked[key]
        else:
            self._marked |= dict.fromkeys(key for key in keys if key not in self._marked)
        self._fill()
        return True

    def action_unmark(self) -> None:
        """Take all marks away."""
        self._marked = {}
        self._fill()

    def _warn(self, sentence: str) -> None:
        self.console_app.say(sentence, severity="warning")

    def action_compare(self) -> None:
        """Open the comparison of the marked runs, or series where whole ones are marked."""
        if len(self._marked) < 2:
            self._warn("Mark two or more with the space bar first, or whole series with A.")
            return
        entries = [self._entries[key] for key in self._marked]
        self._open(comparison(entries, list(self._entries.values())))

    def action_analyse(self) -> None:
        """Open the analysis of the series that the line under the cursor is of."""
        series = self._series()
        if series is not None:
            self._open(analysis(self.console_app.store, series))

    @work(exclusive=True, group="open")
    async def _open(self, opening: Awaitable[Screen[None]]) -> None:
        try:
            self.app.push_screen(await opening)
        except RunFileError as error:
            self.console_app.say(str(error), severity="error")

    # --- keeping --------------------------------------------------------------------------------

    @work(group="keeping")
    async def action_edit(self) -> None:
        """Change label and note of a run, or the label of a series' runs."""
        row = self._row
        if row is not None and await self._keeping.edit(self._of_row(row)):
            self.action_refresh()

    @work(group="keeping")
    async def action_trash(self) -> None:
        """Move the marked runs, or what is under the cursor, to the trash, asking first."""
        row = self._row
        if row is None:
            return
        if not self._marked and row.series == UNUSABLE:
            self._warn("They are left alone: choose a single file to move it to the trash.")
            return
        entries = [self._entries[key] for key in self._marked] or self._of_row(row)
        hidden = len({key_of(entry) for entry in entries} - self._shown)
        if await self._keeping.trash(entries, hidden=hidden):
            self._marked = {}
            self.action_refresh()

    @work(group="keeping")
    async def action_restore(self) -> None:
        """Bring back what went to the trash last."""
        if await self._keeping.restore():
            self.action_refresh()

    def action_copy(self) -> None:
        """Copy the path of what is under the cursor."""
        row = self._row
        if row is None:
            return
        paths = [str(entry.path.resolve()) for entry in self._of_row(row)]
        self.app.copy_to_clipboard("\n".join(paths))
        what = paths[0] if len(paths) == 1 else f"{len(paths)} paths"
        self.console_app.say(f"Copied: {what}")
