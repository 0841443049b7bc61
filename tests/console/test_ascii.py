"""Terminals that show ASCII only, or no colour: nothing else leaves, on any screen."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from support.console import at_rest, drawn, running, until
from support.runs import varied_run
from textual.pilot import Pilot

from console.app import WhisperctlApp
from console.glyphs import key_in_words, to_ascii
from console.screens.analysis import AnalysisScreen
from console.screens.compare import CompareScreen
from loadtest.analysis.series import analyse

Apps = Callable[..., WhisperctlApp]


@given(st.text())
def test_a_twin_is_ascii_and_as_wide(text: str) -> None:
    line = "".join(letter for letter in text if letter.isprintable())
    twin = to_ascii(line)
    assert all(" " <= letter <= "~" for letter in twin)
    assert len(twin) == cell_len(line)


def test_signs_have_telling_twins() -> None:
    assert to_ascii("╭─┬╮│╰┴╯╲") == "+-++|+++\\"
    assert to_ascii("● ready ▲ 3 – … ✖") == "* ready ! 3 - ~ x"
    assert to_ascii("⣿⠁⢀ ") == "#'. "
    assert to_ascii("é世") == "e??"
    assert key_in_words("⏎") == "enter"


async def open_everything(app: WhisperctlApp, pilot: Pilot[None]) -> list[tuple[str, str]]:
    """Open every screen and dialog, and return what each drew."""
    seen = []
    for mode in app.MODES:
        app.switch_mode(mode)
        await until(pilot, lambda: app.current_mode == mode)  # noqa: B023
        await pilot.pause(0.5)
        seen.append((mode, drawn(app)))
    await pilot.press("question_mark")
    await pilot.pause(0.3)
    seen.append(("help", drawn(app)))
    await pilot.press("escape", "ctrl+p")
    await pilot.pause(0.5)
    seen.append(("palette", drawn(app)))
    await pilot.press("escape", "1", "d")
    await pilot.pause(0.3)
    seen.append(("question", drawn(app)))
    await pilot.press("escape")
    runs = [varied_run(f"run_{count}", count / 2, sessions=count, label="é") for count in (2, 4)]
    for screen in (CompareScreen(runs), AnalysisScreen(analyse(runs), 2.0)):
        app.push_screen(screen)
        await until(pilot, lambda: app.screen is screen)  # noqa: B023
        await at_rest(pilot)
        seen.append((type(screen).__name__, drawn(app)))
        await pilot.press("escape")
    app.say("A sentence – with a dash.", severity="error")
    await pilot.pause(0.3)
    seen.append(("toast", drawn(app)))
    return seen


@pytest.mark.parametrize("size", [(80, 24), (140, 45)])
async def test_in_ascii_nothing_else_leaves(make_app: Apps, size: tuple[int, int]) -> None:
    app = make_app(ascii_only=True)
    async with running(app, size=size) as pilot:
        seen = await open_everything(app, pilot)
    for name, text in seen:
        beyond = {letter for letter in text if not " " <= letter <= "~" and letter != "\n"}
        assert not beyond, (name, beyond)
        assert len(text.strip()) > 200, name
        assert "+-" in text or name in {
            "help",
            "toast",
            "Load",
            "CompareScreen",
            "AnalysisScreen",
        }, name


async def test_without_colour_every_screen_is_shades_of_grey(
    make_app: Apps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_app()
    async with running(app) as pilot:
        for mode in app.MODES:
            app.switch_mode(mode)
            await until(pilot, lambda: app.current_mode == mode)  # noqa: B023
            await pilot.pause(0.3)
            for strip in app.screen._compositor.render_strips():
                for part in strip:
                    for colour in (
                        part.style and part.style.color,
                        part.style and part.style.bgcolor,
                    ):
                        if colour:
                            red, green, blue = colour.get_truecolor()
                            assert red == green == blue, (mode, part)
