"""Every action of the console with its keys; and other keys for them, as a person wants them."""

import difflib
import importlib
import pkgutil
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import KEY_TO_UNICODE_NAME, Keys, _character_to_key
from textual.screen import ModalScreen
from textual.theme import BUILTIN_THEMES

import console.screens
import console.widgets

EVERYWHERE: Final = "everywhere"
_MODIFIERS: Final = {"ctrl", "shift", "alt", "super", "hyper", "meta"}
_RESERVED: Final = {
    **dict.fromkeys(("tab", "shift+tab"), "moves the focus"),
    **dict.fromkeys(
        ("up", "down", "left", "right", "home", "end", "pageup", "pagedown"), "moves the cursor"
    ),
    **dict.fromkeys(("enter", "escape"), "is needed to choose and to go back"),
    "ctrl+c": "copies",
    "ctrl+q": "quits",
    "ctrl+p": "opens the palette",
}
"""Keys without which one is lost, and what they do."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a key does."""

    id: str
    keys: tuple[str, ...]
    """As they come with the console, by Textual's names."""
    text: str
    """What it does."""
    places: tuple[str, ...]
    """The screens on which the key does it."""


def _classes() -> Iterator[tuple[str, type[DOMNode]]]:
    """Yield what has bindings of its own, and the place's name."""
    from console.app import WhisperctlApp  # noqa: PLC0415 - the app imports this

    yield EVERYWHERE, WhisperctlApp
    for package in (console.screens, console.widgets):
        for module in pkgutil.iter_modules(package.__path__):
            name = f"{package.__name__}.{module.name}"
            for member in vars(importlib.import_module(name)).values():
                if (
                    isinstance(member, type)
                    and issubclass(member, DOMNode)
                    and member.__module__ == name
                    # A dialog's keys stand on its buttons and stay.
                    and not issubclass(member, ModalScreen)
                ):
                    yield member.__name__.removesuffix("Screen"), member


def actions() -> list[Action]:
    """Return every action that has an id, in the order of the places."""
    found: dict[str, Action] = {}
    for place, member in _classes():
        for binding in Binding.make_bindings(vars(member).get("BINDINGS", [])):
            if binding.id is None:
                continue
            text = binding.tooltip or binding.description
            known = found.get(binding.id, Action(binding.id, (), text, ()))
            keys = dict.fromkeys((*known.keys, binding.key))
            places = dict.fromkeys((*known.places, place))
            found[binding.id] = Action(binding.id, tuple(keys), known.text, tuple(places))
    return list(found.values())


def check(wanted: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the keymap that can be used, and a sentence for each entry that can't."""
    known = {action.id: action for action in actions()}
    keymap: dict[str, str] = {}
    problems: list[str] = []
    for name, text in wanted.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else "see 'whisperctl config keys'."
            problems.append(f"There is no action '{name}'; {hint}")
            continue
        keys = [_normal(key) for key in text.split(",")]
        if problem := _unusable(known[name], keys, text):
            problems.append(problem)
        else:
            keymap[name] = ",".join(keys)
    # Leaving one entry out gives its own keys back, which may be another's by now.
    while clash := _clash(known, keymap):
        key, name, other = clash
        del keymap[name]
        problems.append(
            f"'{key}' can't be the key of both {name} and {other}; {name} keeps its own."
        )
    return keymap, problems


def _normal(key: str) -> str:
    key = key.strip()
    return _character_to_key(key) if len(key) == 1 else key


def _unusable(action: Action, keys: list[str], text: str) -> str:
    for key in keys:
        if not is_key(key):
            return (
                f"'{text}' is no key for {action.id}; write it like u, f6, ctrl+u or plus, "
                "several with commas between."
            )
        if key in _RESERVED and key not in action.keys:
            return f"'{key}' {_RESERVED[key]}; choose another key for {action.id}."
    return ""


def is_key(key: str) -> bool:
    """Tell whether Textual knows a key by this name."""
    *modifiers, last = key.split("+")
    if not set(modifiers) <= _MODIFIERS or len(set(modifiers)) < len(modifiers):
        return False
    if len(last) == 1:
        return last.isprintable() and not last.isspace()
    if last in {one.value for one in Keys} or last in KEY_TO_UNICODE_NAME or last == "space":
        return True
    try:
        unicodedata.lookup(last.replace("_", " ").upper())
    except KeyError:
        return last in {"plus", "minus", "slash"}
    return True


def no_such_theme(name: str) -> str:
    """Return the sentence about a theme that is none."""
    near = difflib.get_close_matches(name, BUILTIN_THEMES, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(BUILTIN_THEMES)}."
    return f"There is no theme '{name}'; {hint}"


def _clash(known: Mapping[str, Action], keymap: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Return a key, an entry of the keymap, and what else has that key in the same place."""
    holders: dict[tuple[str, str], str] = {}
    places = {place for action in known.values() for place in action.places}
    # What keeps its keys comes first: of two, the one to give way is always an entry.
    for action in sorted(known.values(), key=lambda action: action.id in keymap):
        keys = keymap[action.id].split(",") if action.id in keymap else action.keys
        reach = places if EVERYWHERE in action.places else action.places
        for key in keys:
            for place in (*reach, *([EVERYWHERE] if EVERYWHERE in action.places else [])):
                other = holders.setdefault((place, key), action.id)
                # Some share a key by design: leaving a screen, and leaving the console.
                shared = key in action.keys and key in known[other].keys
                if other != action.id and action.id in keymap and not shared:
                    return key, action.id, other
    return None
