"""The form of a load plan: checks while typing, and says what the plan will do."""

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Checkbox, Collapsible, Input, Static
from textual.widgets._collapsible import CollapsibleTitle
from textual.worker import get_current_worker

from console.planning import (
    GROUPS,
    Draft,
    Field,
    Group,
    Values,
    group_summary,
    plan_values,
    read_draft,
)
from console.rendering.steps import outlook_lines
from loadtest.clips import ClipError, usable_clips
from loadtest.outlook import outlook, outlook_text
from loadtest.plan import LoadPlan

_STEPS_LISTED = 30


class Tick(Checkbox):
    """A box whose mark is there or not: Textual's own only changes its colour."""

    BUTTON_INNER = " "

    def watch_value(self) -> None:
        """Draw the mark."""
        self.BUTTON_INNER = "✓" if self.value else " "
        super().watch_value()


class FieldRow(Vertical):
    """A field with its name, and under it the sentence that says what is wrong."""

    DEFAULT_CSS = """
    FieldRow { height: auto; }
    FieldRow > Horizontal { height: 1; }
    FieldRow .field-name { width: 23; color: $text-muted; }
    FieldRow:focus-within .field-name { color: $text; text-style: bold; }
    FieldRow Input, FieldRow Input:focus { border: none; height: 1; padding: 0 1; width: 1fr;
        max-width: 64; background: $panel; }
    FieldRow Input:focus { background: $primary 30%; }
    FieldRow Checkbox { border: none; padding: 0; background: transparent; width: 1fr; }
    FieldRow .field-problem { display: none; height: auto; padding-left: 23; color: $text-error; }
    FieldRow.-wrong .field-problem { display: block; }
    FieldRow.-wrong .field-name { color: $text-error; }
    """

    def __init__(self, field: Field, value: str | bool) -> None:
        super().__init__()
        self.field = field
        self._value = value

    def compose(self) -> ComposeResult:
        """Lay out the line, and the sentence."""
        with Horizontal():
            yield Static(self.field.label, classes="field-name", markup=False)
            if self.field.switch:
                yield Tick(
                    Content(self.field.hint), bool(self._value), id=self.field.name, compact=True
                )
            else:
                yield Input(
                    str(self._value),
                    placeholder=self.field.hint,
                    password=self.field.secret,
                    max_length=2000 if self.field.name == "note" else 500,
                    id=self.field.name,
                )
        yield Static("", classes="field-problem", markup=False)

    def complain(self, problem: str) -> None:
        """Show what is wrong; nothing with ``""``."""
        self.set_class(bool(problem), "-wrong")
        # A glyph as well as colour.
        self.query_one(".field-problem", Static).update(f"▲ {problem}" if problem else "")


class PlanForm(Vertical):
    """Fields, what they come to, and what to do with it."""

    DEFAULT_CSS = """
    PlanForm { height: 1fr; margin: 0 1; }
    PlanForm > #plan-columns { height: 1fr; }
    PlanForm #plan-fields { width: 2fr; max-width: 100; padding: 0 1;
        border: round $surface-lighten-2;
        border-title-color: $text; scrollbar-size-vertical: 1; }
    PlanForm #plan-steps { display: none; width: 1fr; border: round $surface-lighten-2;
        border-title-color: $text; padding: 0 1; scrollbar-size-vertical: 1; }
    PlanForm Collapsible { border: none; padding: 0; margin: 0; background: transparent; }
    PlanForm Collapsible:focus-within { background-tint: $foreground 0%; }
    PlanForm Collapsible Contents { padding: 0 0 0 2; }
    PlanForm Collapsible .field-name { width: 21; }
    PlanForm Collapsible .field-problem { padding-left: 21; }
    PlanForm CollapsibleTitle { padding: 0; width: 1fr; height: 1; text-wrap: nowrap;
        text-overflow: ellipsis; }
    PlanForm #plan-says { height: auto; max-height: 3; padding: 0 1; }
    PlanForm #plan-says.-wrong { color: $text-error; }
    PlanForm #plan-answers { height: 1; padding: 0 1; }
    PlanForm #plan-answers Button { margin-right: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Field before", show=False),
    ]

    class Start(Message):
        """The plan is to be played."""

        def __init__(self, plan: LoadPlan, *, elsewhere: bool) -> None:
            super().__init__()
            self.plan = plan
            self.elsewhere = elsewhere

    class Save(Message):
        """The plan is to be kept under a name."""

    class Open(Message):
        """A saved plan is to be chosen."""

    def __init__(self, base: LoadPlan, plan: LoadPlan, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._base = base
        """Says where the console's own directories and stack are."""
        self._first = plan_values(plan, elsewhere=False)
        self.draft = Draft(plan)
        self.hindrance = ""
        """Why a load on the console's own stack can't be started now."""
        self._longest_clip: float | None = None
        self._clip_problem = ""

    def compose(self) -> ComposeResult:
        """Lay out the fields beside the steps, and below what they come to."""
        with Horizontal(id="plan-columns"):
            with VerticalScroll(id="plan-fields", can_focus=False):
                for group in GROUPS:
                    rows = [FieldRow(each, self._first[each.name]) for each in group.fields]
                    if group.title:
                        yield Collapsible(*rows, title=group.title, id=f"plan-{group.name}")
                    else:
                        yield from rows
            with VerticalScroll(id="plan-steps", can_focus=False):
                yield Static("", id="plan-outlook")
        yield Static("", id="plan-says", markup=False)
        with Horizontal(id="plan-answers"):
            yield Button("Start (enter)", id="start", variant="primary", compact=True)
            yield Button("Save as … (ctrl+s)", id="plan-save", compact=True)
            yield Button("Saved plans (ctrl+o)", id="plan-open", compact=True)

    def on_mount(self) -> None:
        """Check what stands there, and look how long the clips are."""
        self.query_one("#plan-fields").border_title = "what load"
        self.query_one("#plan-steps").border_title = "what it will do"
        if self.app.size.height >= 44:
            # Where all fields have room there is no reason to hide any.
            for folded in self.query(Collapsible):
                folded.collapsed = False
        self._look_at_clips()
        self.check()

    @work(thread=True, exclusive=True, group="clips")
    def _look_at_clips(self) -> None:
        longest, problem = None, ""
        try:
            clips, _ = usable_clips(self._base.audio_directory)
            longest = max(clip.duration for clip in clips)
        except (ClipError, OSError) as error:
            problem = str(error)
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._know_clips, longest, problem)

    def _know_clips(self, longest: float | None, problem: str) -> None:
        if self.is_attached:
            self._longest_clip, self._clip_problem = longest, problem
            self.check()

    @property
    def values(self) -> Values:
        """What stands in the fields."""
        texts: dict[str, str | bool] = {field.id or "": field.value for field in self.query(Input)}
        return texts | {box.id or "": box.value for box in self.query(Checkbox)}

    def fill(self, plan: LoadPlan, *, elsewhere: bool) -> None:
        """Show another plan; a key that was typed stays, as plans hold none."""
        values = plan_values(plan, elsewhere=elsewhere)
        for field in self.query(Input):
            if field.id != "key" or values["key"]:
                field.value = str(values[field.id or ""])
        for box in self.query(Checkbox):
            box.value = bool(values[box.id or ""])
        self.check()

    def begin(self) -> None:
        """Give the keys to the first field."""
        # At once: what is typed next is meant for it.
        self.screen.set_focus(self.query_one("#clients", Input))

    def hinder(self, hindrance: str) -> None:
        """Say why a load on the console's own stack can't be started now; ``""``: it can."""
        if hindrance != self.hindrance:
            self.hindrance = hindrance
            self._say()

    @on(Input.Changed)
    @on(Checkbox.Changed)
    def check(self) -> None:
        """Read the fields, and say what is wrong with them or what they come to."""
        values = self.values
        self.draft = read_draft(values, self._base)
        for row in self.query(FieldRow):
            row.complain(self.draft.problems.get(row.field.name, ""))
        for group in GROUPS:
            if group.title:
                self._title(group, values)
        self._say()

    def _title(self, group: Group, values: Values) -> None:
        folded = self.query_one(f"#plan-{group.name}", Collapsible)
        wrong = any(field.name in self.draft.problems for field in group.fields)
        label = f"{group.title}: {group_summary(group, values)}"
        title = folded.query_one(CollapsibleTitle)
        # As text: an address may hold brackets.
        title.label = Content(f"▲ {label}" if wrong else label)

    def _say(self) -> None:
        says = self.query_one("#plan-says", Static)
        problem = self.problem
        plan = self.draft.plan
        says.set_class(bool(problem) or plan is None, "-wrong")
        if plan is None:
            count = len(self.draft.problems)
            fields = "A field is" if count == 1 else f"{count} fields are"
            steps = Text(f"▲ {fields} not usable; {self._where_wrong()}.")
            says.update(steps.plain)
        else:
            found = outlook(plan, self._longest_clip)
            known = plan.duration is not None or self._longest_clip is not None
            sentence = outlook_text(plan, found, clip_known=known)
            says.update(f"▲ {problem}" if problem else sentence)
            steps = outlook_lines(found, most=_STEPS_LISTED) if known else Text()
            head = f"{sentence}\n\n"
            if plan.find_capacity is not None:
                head += "At its longest, with the pauses after missed steps:\n\n"
            steps = Text(head).append_text(steps)
        self.query_one("#plan-outlook", Static).update(steps)
        self.query_one("#start", Button).disabled = bool(problem) or plan is None

    def _where_wrong(self) -> str:
        """Say which field is the first that is wrong: it may be folded away."""
        for group in GROUPS:
            for field in group.fields:
                if field.name in self.draft.problems:
                    name = field.label.removeprefix("… ")
                    return f"see '{name}'" + (f" under {group.title}" if group.title else "")
        return "see above"

    @property
    def problem(self) -> str:
        """Why the plan can't be played now, though its fields are usable; "" where it can."""
        if self._clip_problem:
            return self._clip_problem
        return "" if self.draft.elsewhere else self.hindrance

    @on(Input.Submitted)
    @on(Button.Pressed, "#start")
    def _start(self) -> None:
        self.check()
        if self.draft.plan is not None and not self.problem:
            self.post_message(self.Start(self.draft.plan, elsewhere=self.draft.elsewhere))

    @on(Button.Pressed, "#plan-save")
    def _save(self) -> None:
        self.post_message(self.Save())

    @on(Button.Pressed, "#plan-open")
    def _open(self) -> None:
        self.post_message(self.Open())
