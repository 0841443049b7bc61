"""Writing what a screen shows to a file: asks in what form, never replaces a file."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from console.screens.run_dialogs import ask_export
from stack.files import write_new

if TYPE_CHECKING:
    from console.screens.base import ConsoleScreen


async def export(
    screen: "ConsoleScreen", stem: str, makers: Mapping[str, Callable[[], str]]
) -> Path | None:
    """Ask in what form, and write it beside the runs; says where it is, or why it is not.

    ``makers`` make the text of ``md`` and ``html``; the picture is taken of the screen.
    """
    app = screen.console_app
    form = await app.push_screen_wait(ask_export(tuple(makers)))
    if form is None:
        return None
    if form == "svg":
        # Only now is the question gone from the picture.
        await asyncio.sleep(0)
        text = app.export_screenshot(title=f"whisperctl – {stem}")
    else:
        text = await asyncio.to_thread(makers[form])
    directory = app.store.directory
    try:
        path = await asyncio.to_thread(write_new, directory, stem, f".{form}", text.encode())
    except OSError as error:
        app.say(f"{directory / stem}.{form} can't be written: {error.strerror}.", severity="error")
        return None
    app.say(f"Saved: {path.resolve()}")
    return path
