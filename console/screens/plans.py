"""Saved load plans: choose one, delete one, keep one under a name."""

import asyncio
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, DataTable, Input, Label, Static

from console.saved_plans import MAX_NAME, PlanError, PlanStore, SavedPlan, name_problem
from console.screens.dialogs import ask_delete
from loadtest.outlook import duration_text
from loadtest.plan import LoadPlan
from loadtest.verdict import clients_text, counts_text

_NAMED = 6


class PlansDialog(ModalScreen[SavedPlan | None]):
    """All saved plans; returns the chosen one."""

    DEFAULT_CSS = """
    PlansDialog { align: center middle; }
    PlansDialog DataTable { height: auto; max-height: 16; min-height: 3; overflow-x: hidden; }
    PlansDialog #plans-none { color: $text-muted; }
    PlansDialog #plans-keys { margin-top: 1; color: $text-muted; height: auto; }
    """
    HELP = """
## Saved plans

Enter fills the form with the plan under the cursor; nothing starts yet. One whose file can't be
used is listed with the reason.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel"),
        Binding("delete,d", "delete", "Delete"),
    ]

    def __init__(self, plans: PlanStore) -> None:
        super().__init__()
        self._plans = plans
        self._entries: list[SavedPlan] = []

    def compose(self) -> ComposeResult:
        """Lay out the list."""
        with Vertical(classes="dialog"):
            yield Label("Saved plans", classes="question")
            yield DataTable[str | Text](cursor_type="row", id="plans")
            yield Static("There is none yet: ctrl+s in the form keeps one.", id="plans-none")
            yield Static("enter: fill in   d: delete   esc: back", id="plans-keys")

    def on_mount(self) -> None:
        """Read the directory."""
        table = self.query_one(DataTable)
        table.add_column("name", key="name")
        table.add_column("plan", key="plan")
        table.focus()
        self._read()

    @work(exclusive=True, group="plans")
    async def _read(self) -> None:
        self._entries = await asyncio.to_thread(self._plans.entries)
        table = self.query_one(DataTable)
        row = table.cursor_row
        table.clear()
        for entry in self._entries:
            # As text: a file's name and what is in it may hold brackets.
            table.add_row(Text(entry.name), _what(entry), key=entry.name)
        table.display = bool(self._entries)
        if self._entries:
            table.move_cursor(row=min(row, len(self._entries) - 1))
        self.query_one("#plans-none").display = not self._entries

    def _current(self) -> SavedPlan | None:
        row = self.query_one(DataTable).cursor_row
        return self._entries[row] if 0 <= row < len(self._entries) else None

    @on(DataTable.RowSelected)
    def _choose(self) -> None:
        entry = self._current()
        if entry is None:
            return
        if entry.plan is None:
            self.app.notify(
                f"'{entry.name}' can't be used. {entry.problem}", severity="warning", markup=False
            )
            return
        self.dismiss(entry)

    @work
    async def action_delete(self) -> None:
        """Delete the plan under the cursor, asking first."""
        entry = self._current()
        if entry is None or await self.app.push_screen_wait(ask_delete(entry.name)) != "delete":
            return
        try:
            await asyncio.to_thread(self._plans.delete, entry.name)
        except PlanError as error:
            self.app.notify(str(error), severity="error", markup=False)
        self._read()


def _what(entry: SavedPlan) -> Text:
    if entry.plan is None:
        return Text(f"▲ {entry.problem}", style="italic yellow")
    plan = entry.plan
    each = "one clip each" if plan.duration is None else f"{duration_text(plan.duration)} each"
    label = f", '{plan.label}'" if plan.label else ""
    counts = clients_text(max(plan.clients)) if len(plan.clients) > _NAMED else None
    what = f"up to {counts}" if counts else counts_text(plan.clients)
    if plan.find_capacity is not None:
        what = f"search from {plan.clients[0]} up to {clients_text(plan.find_capacity)}"
    return Text(f"{what}, {each}{label}")


class NameDialog(ModalScreen[str | None]):
    """Asks for a name; returns it once the plan is kept under it."""

    DEFAULT_CSS = """
    NameDialog { align: center middle; }
    NameDialog Input { border: none; height: 1; background: $boost; }
    NameDialog #name-problem { color: $text-error; height: auto; min-height: 1; }
    """
    HELP = """
## A name for the plan

Letters, digits and some signs. A plan that has the name already is replaced. No key is kept with
it.
"""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, plans: PlanStore, plan: LoadPlan, *, elsewhere: bool, name: str) -> None:
        super().__init__()
        self._plans = plans
        self._plan = plan
        self._elsewhere = elsewhere
        self._first = name

    def compose(self) -> ComposeResult:
        """Lay out the field."""
        with Vertical(classes="dialog"):
            yield Label("Save the plan as", classes="question")
            yield Input(self._first, id="plan-name", max_length=MAX_NAME, placeholder="a name")
            yield Static("", id="name-problem", markup=False)
            with Horizontal(classes="answers"):
                yield Button("Save (enter)", id="name-save", variant="primary", compact=True)
                yield Button("Cancel (esc)", id="name-cancel", compact=True)

    @on(Input.Changed)
    def _check(self) -> None:
        name = self.query_one("#plan-name", Input).value.strip()
        problem = name_problem(name) if name else ""
        self.query_one("#name-problem", Static).update(f"▲ {problem}" if problem else "")
        self.query_one("#name-save", Button).disabled = bool(problem) or not name

    @on(Input.Submitted)
    @on(Button.Pressed, "#name-save")
    @work(exclusive=True, group="plans")
    async def _save(self) -> None:
        name = self.query_one("#plan-name", Input).value.strip()
        try:
            await asyncio.to_thread(self._plans.save, name, self._plan, elsewhere=self._elsewhere)
        except PlanError as error:
            self.query_one("#name-problem", Static).update(f"▲ {error}")
            return
        self.dismiss(name)

    @on(Button.Pressed, "#name-cancel")
    def _cancel(self) -> None:
        self.dismiss(None)
