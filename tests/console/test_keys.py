"""Keys of one's own, and the palette: each action has an id, a name, and its place in it."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator

import pytest
from support.console import at_rest, drawn, running, until
from support.engine import FakeEngine
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import ModalScreen

import console.screens
import console.widgets
from console.app import WhisperctlApp
from console.keymap import actions, check, is_key
from console.palette import belongs, titled
from console.preferences import ConsoleTable, Preferences
from console.screens.logs import LogsScreen
from console.widgets.log_view import LogView

Apps = Callable[..., WhisperctlApp]


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"stack.upp": "b"}, "There is no action 'stack.upp'; did you mean 'stack.up'?"),
        ({"x": "b"}, "see 'whisperctl config keys'."),
        ({"stack.up": "ctlr+b"}, "'ctlr+b' is no key for stack.up"),
        ({"stack.up": ""}, "is no key"),
        ({"stack.up": "b,,c"}, "is no key"),
        ({"stack.up": "up"}, "'up' moves the cursor"),
        ({"stack.up": "d"}, "'d' can't be the key of both stack.up and stack.down"),
        ({"stack.up": "q"}, "'q' can't be the key of both stack.up and app.quit"),
        ({"app.quit": "d"}, "'d' can't be the key of both app.quit and "),
    ],
)
def test_an_entry_that_cannot_be_is_left_out_with_a_sentence(
    wanted: dict[str, str], sentence: str
) -> None:
    keymap, problems = check(wanted | {"log.wrap": "W"})
    assert keymap == {"log.wrap": "W"}
    (problem,) = problems
    assert sentence in problem


def test_keys_may_change_places_and_be_the_same_on_different_screens() -> None:
    assert check({"stack.up": "d", "stack.down": "u"})[1] == []
    assert check({"log.wrap": "u"})[1] == []
    _, problems = check({"stack.up": "d", "stack.down": "d"})
    assert len(problems) == 2  # neither is more in the right than the other
    for key in ("u", "f12", "ctrl+shift+a", "question_mark", "space", "plus", "ä"):
        assert is_key(key), key
    for key in ("", "ctrl+", "hello", "ctrl+ctrl+a", "a b"):
        assert not is_key(key), key


async def test_a_key_of_ones_own_does_it_and_the_old_one_no_more(make_app: Apps) -> None:
    wishes = Preferences(
        console=ConsoleTable(theme="textual-light"),
        keys={"stack.up": "b", "app.logs": "f4", "stack.upp": "x"},
        problems=("Something [is] wrong.",),
    )
    app = make_app(up=False, preferences=wishes)
    assert isinstance(app.engine, FakeEngine)
    async with running(app) as pilot:
        assert app.theme == "textual-light"
        told = [h.text for h in app.live.happenings]
        assert "Something [is] wrong." in told
        assert any("did you mean 'stack.up'?" in text for text in told)
        await pilot.press("u")
        assert app.engine.calls == []
        await pilot.press("b")
        await until(pilot, lambda: app.engine.calls == ["up"])
        await pilot.press("4")
        assert app.current_mode == "dashboard"
        await pilot.press("f4")
        await until(pilot, lambda: app.current_mode == "logs")


async def test_a_theme_that_is_none_is_a_sentence(make_app: Apps) -> None:
    app = make_app(preferences=Preferences(console=ConsoleTable(theme="textual-lihgt")))
    async with running(app):
        told = [h.text for h in app.live.happenings]
        assert "There is no theme 'textual-lihgt'; did you mean 'textual-light'?" in told


# --- every action ---------------------------------------------------------------------------------


def owners() -> Iterator[type[DOMNode]]:
    """Every class of the console that has keys."""
    yield WhisperctlApp
    for package in (console.screens, console.widgets):
        for module in pkgutil.iter_modules(package.__path__):
            name = f"{package.__name__}.{module.name}"
            for member in vars(importlib.import_module(name)).values():
                if (
                    isinstance(member, type)
                    and issubclass(member, DOMNode)
                    and member.__module__ == name
                    and vars(member).get("BINDINGS")
                ):
                    yield member


def bindings() -> list[tuple[type[DOMNode], Binding]]:
    return [
        (owner, binding)
        for owner in owners()
        for binding in Binding.make_bindings(vars(owner)["BINDINGS"])
    ]


@pytest.mark.parametrize(
    ("owner", "binding"), bindings(), ids=lambda value: getattr(value, "action", None)
)
def test_every_key_says_what_it_does(owner: type[DOMNode], binding: Binding) -> None:
    where = f"{owner.__name__}, key {binding.key}, action {binding.action}"
    if issubclass(owner, ModalScreen):
        assert binding.description or not binding.show, f"{where}: no description"
        return
    assert binding.description or binding.tooltip, f"{where}: no description"
    if belongs(binding, owner) and binding.action != "close_help":
        assert binding.id, f"{where}: no id, so that it can't have another key"
        assert "." in binding.id, f"{where}: an id is like place.action"
        assert len(titled(binding)[0]) <= 60, f"{where}: too long a name for the palette"


def test_an_id_is_of_one_action() -> None:
    known: dict[str, str] = {}
    for owner, binding in bindings():
        if binding.id is not None:
            action = binding.action.rpartition(".")[2]
            assert known.setdefault(binding.id, action) == action, (owner, binding)
    assert {action.id for action in actions()} == set(known)


@pytest.mark.parametrize("mode", list(WhisperctlApp.MODES))
async def test_what_has_a_key_and_can_be_done_is_in_the_palette(make_app: Apps, mode: str) -> None:
    app = make_app()
    async with running(app) as pilot:
        app.switch_mode(mode)
        await until(pilot, lambda: app.current_mode == mode)
        await at_rest(pilot)
        offered = {one.title: one for one in app.get_system_commands(app.screen)}
        for node, binding, enabled, _ in app.screen.active_bindings.values():
            ours = type(node).__module__.startswith("console.") and binding.id is not None
            if not ours:
                continue
            title = titled(binding)[0]
            if binding.action.startswith("show("):
                assert any(binding.description.lower() in name.lower() for name in offered)
            else:
                assert (title in offered) is enabled, (mode, binding)
        for command in offered.values():
            assert command.help, command.title


async def test_the_palette_does_what_a_key_does(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: app.current_mode == "logs")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: len(app.screen_stack) > 1)
        await pilot.press(*"wrap")
        await until(pilot, lambda: "Wrap long lines" in drawn(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, LogsScreen))
        await until(pilot, lambda: not app.screen.query_one(LogView).wrapped)
