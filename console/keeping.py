"""Naming saved runs and throwing them away: asks, does it beside the console, says how it went."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from console.screens.run_dialogs import Words, WordsDialog, ask_trash
from loadtest.entries import Kind, RunEntry, RunFileError
from loadtest.keeping import TRASH, Moved, from_trash, relabel, to_trash

if TYPE_CHECKING:
    from console.screens.base import ConsoleScreen


class Keeping:
    """What a person does to saved runs on one screen; each action tells whether it was done."""

    def __init__(self, screen: "ConsoleScreen") -> None:
        self._screen = screen
        self._moved: list[list[Moved]] = []
        """What went to the trash, the last time at the end."""

    async def edit(self, entries: Sequence[RunEntry]) -> bool:
        """Ask for label and note of a run, or for the label of several, and write them."""
        if any(entry.problem is not None or entry.kind is not Kind.RUN for entry in entries):
            self._warn("Only runs have a label and a note that can be changed.")
            return False
        first = entries[0]
        alone = len(entries) == 1
        title = first.run_id or "" if alone else f"The {len(entries)} runs of {first.series_id}"
        dialog = WordsDialog(title, label=first.label or "", note=first.note if alone else None)
        words = await self._screen.app.push_screen_wait(dialog)
        return words is not None and await self._tell(asyncio.to_thread(_write, entries, words))

    async def trash(self, entries: Sequence[RunEntry], *, hidden: int) -> bool:
        """Ask whether to move files to the trash, and do it; ``hidden``: those not in the list."""
        name = entries[0].run_id or entries[0].path.name
        question = ask_trash(len(entries), what=name, hidden=hidden)
        if await self._screen.app.push_screen_wait(question) != "move":
            return False
        return await self._tell(self._move(entries))

    async def _move(self, entries: Sequence[RunEntry]) -> str:
        moved = await asyncio.to_thread(to_trash, [entry.path for entry in entries])
        if moved:
            self._moved.append(moved)
        if len(moved) == 1:
            return f"{moved[0].origin.name} is in {TRASH} now; z brings it back."
        return f"{len(moved)} runs are in {TRASH} now; z brings them back."

    async def restore(self) -> bool:
        """Bring back what went to the trash last."""
        if not self._moved:
            self._warn("Nothing went to the trash since this console started.")
            return False
        return await self._tell(self._bring_back(self._moved.pop()))

    async def _bring_back(self, moved: Sequence[Moved]) -> str:
        count = await asyncio.to_thread(from_trash, moved)
        return f"{count} run{' is' if count == 1 else 's are'} back."

    async def _tell(self, operation: Awaitable[str]) -> bool:
        try:
            self._screen.console_app.say(await operation)
        except RunFileError as error:
            # Some of several may be done: the list has to be read in any case.
            self._screen.console_app.say(str(error), severity="error")
        return True

    def _warn(self, sentence: str) -> None:
        self._screen.console_app.say(sentence, severity="warning")


def _write(entries: Sequence[RunEntry], words: Words) -> str:
    for entry in entries:
        relabel(entry.path, label=words.label, note=words.note)
    return "It is saved." if len(entries) == 1 else f"{len(entries)} runs have the label now."
