"""The Logs screen: all parts or one, followed, filtered, saved, and what it costs."""

import asyncio
import html
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from support.console import running, until
from support.engine import FakeEngine
from textual.pilot import Pilot
from textual.widgets import Input

from console.app import WhisperctlApp
from console.logs.lines import LINES_KEPT
from console.screens.dashboard import DashboardScreen
from console.screens.logs import LogsScreen
from console.widgets.log_view import LogView
from console.widgets.part_list import PartList
from stack.engine import StackError
from stack.process.engine import ProcessEngine
from stack.spec import BalancerSpec, StackSpec
from stack.status import LogLine

Apps = Callable[..., WhisperctlApp]


class TalkingEngine(FakeEngine):
    """Writes what it is told to, and may lose its log."""

    def __init__(self) -> None:
        super().__init__(up=StackSpec(replicas=2))
        self.said: asyncio.Queue[LogLine | StackError | None] = asyncio.Queue()
        self.old: list[LogLine] = []

    def say(self, source: str, *texts: str) -> None:
        for text in texts:
            self.said.put_nowait(LogLine(source=source, text=text))

    async def logs(
        self, replica: str | None = None, *, follow: bool = False, tail: int = 200
    ) -> AsyncIterator[LogLine]:
        for line in self.old[-tail:]:
            yield line
        while (line_or_end := await self.said.get()) is not None:
            if isinstance(line_or_end, StackError):
                raise line_or_end
            self.old.append(line_or_end)
            yield line_or_end


@pytest.fixture
def engine() -> TalkingEngine:
    return TalkingEngine()


@pytest.fixture
def app(make_app: Apps, engine: TalkingEngine) -> WhisperctlApp:
    return make_app(engine=engine)


def view(app: WhisperctlApp) -> LogView:
    return app.screen.query_one(LogView)


def texts(app: WhisperctlApp) -> list[str]:
    return [entry.text for entry in view(app).entries]


def drawn(app: WhisperctlApp) -> list[str]:
    log = view(app)
    return [
        "".join(part.text for part in log.render_line(y)).rstrip() for y in range(log.size.height)
    ]


async def open_logs(app: WhisperctlApp, pilot: Pilot[None]) -> None:
    await pilot.press("4")
    await until(pilot, lambda: isinstance(app.screen, LogsScreen))


async def test_a_log_is_shown_as_it_is_and_filtered(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LogsScreen))
        await until(pilot, lambda: len(texts(app)) == 3)
        assert texts(app)[1] == "a [red]line[/red] with brackets"
        await pilot.press("slash")
        app.screen.query_one("#filter", Input).value = "[/red]"
        await until(pilot, lambda: texts(app) == ["a [red]line[/red] with brackets"])
        picture = html.unescape(app.export_screenshot()).replace("\xa0", " ")
        assert "lines with '[/red]'" in picture
        await pilot.press("enter", "f")
        assert not view(app).following
        await pilot.press("f")
        assert view(app).following
        await pilot.press("escape")
        await until(pilot, lambda: len(texts(app)) == 3)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))


async def test_parts_are_named_or_shown_alone(app: WhisperctlApp, engine: TalkingEngine) -> None:
    async with running(app) as pilot:
        await open_logs(app, pilot)
        engine.say("replica-1", "from the first")
        engine.say("balancer", "from the door")
        engine.say("replica-9", "from one that has ended")
        await until(pilot, lambda: len(texts(app)) == 3)
        assert "replica-1 from the first" in drawn(app)[0]
        assert "balancer  from the door" in drawn(app)[1]
        parts = app.screen.query_one(PartList)
        await until(pilot, lambda: parts.option_count == 6)
        names = [str(option.prompt) for option in parts.options]
        assert [name.strip() for name in names] == [
            *("all parts", "● replica-1", "● replica-2", "○ replica-9"),
            *("● balancer", "● supervisor"),
        ]
        await pilot.press("right")
        await until(pilot, lambda: texts(app) == ["from the first"])
        assert "replica-1" not in drawn(app)[0]
        await pilot.press("left")
        await until(pilot, lambda: len(texts(app)) == 3)
        await pilot.press("shift+tab", "end", "up")
        await until(pilot, lambda: texts(app) == ["from the door"])
        app.open_log("replica-9")
        await until(pilot, lambda: texts(app) == ["from one that has ended"])
        await until(pilot, lambda: parts.highlighted == 3)


async def test_scrolling_up_pauses_and_counts_what_comes(
    app: WhisperctlApp, engine: TalkingEngine
) -> None:
    async with running(app) as pilot:
        await open_logs(app, pilot)
        engine.say("replica-1", *(f"line {number}" for number in range(200)))
        await until(pilot, lambda: len(texts(app)) == 200)
        await until(pilot, lambda: "line 199" in drawn(app)[-1])
        await pilot.press("pageup")
        await until(pilot, lambda: not view(app).following)
        await pilot.pause()
        await until(pilot, lambda: view(app).scroll_y == view(app).scroll_target_y)
        before = drawn(app)
        engine.say("replica-1", *(f"new {number}" for number in range(7)))
        await until(pilot, lambda: "paused, 7 new" in str(view(app).border_subtitle))
        assert drawn(app) == before
        await pilot.press("f")
        await until(pilot, lambda: "new 6" in drawn(app)[-1])
        assert "following" in str(view(app).border_subtitle)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "new 6" in drawn(app)[-1])


async def test_levels_matches_and_next(app: WhisperctlApp, engine: TalkingEngine) -> None:
    async with running(app) as pilot:
        await open_logs(app, pilot)
        stamp = "2026-11-21 20:34:56,302"
        engine.say("replica-1", *(f"{stamp} INFO line {number}" for number in range(100)))
        engine.say("replica-1", f"{stamp} ERROR Failed.", "Traceback of it", "  of it")
        engine.say("replica-2", f"{stamp} WARNING Slow.")
        await until(pilot, lambda: len(texts(app)) == 104)
        await pilot.press("e")
        await until(pilot, lambda: len(texts(app)) == 4)
        assert [row[:3].strip() for row in drawn(app)[:4]] == ["✖", "✖", "✖", "▲"]
        await pilot.press("e")
        await until(pilot, lambda: len(texts(app)) == 104)
        await pilot.press("n")
        current = view(app).current
        assert current is not None
        assert current.text.endswith("Failed.")
        await pilot.press("slash", *"~line [37]", "enter")
        await until(pilot, lambda: len(texts(app)) == 22)
        await pilot.press("m")
        await until(pilot, lambda: len(texts(app)) == 104)
        await pilot.press("home")
        await until(pilot, lambda: view(app).scroll_y == 0)
        await pilot.press("n")
        current = view(app).current
        assert current is not None
        assert current.text.endswith("line 3")
        await pilot.press("N")
        current = view(app).current
        assert current is not None
        assert current.text.endswith("line 79")
        assert "▸" in "".join(row[:2] for row in drawn(app))
        marked = [
            part.text
            for part in view(app).render_line(0)
            if part.style is not None and part.style.underline
        ]
        assert all(text.startswith("line ") for text in marked)
        await pilot.press("slash", "ctrl+u", *"~(", "enter")
        field = app.screen.query_one("#filter", Input)
        await until(pilot, lambda: "no regular expression" in str(field.border_subtitle))
        assert field.has_focus
        assert len(texts(app)) == 104  # the filter before holds


async def test_long_lines_are_wrapped_or_scrolled(
    app: WhisperctlApp, engine: TalkingEngine
) -> None:
    async with running(app, size=(80, 24)) as pilot:
        await open_logs(app, pilot)
        engine.say("replica-1", "word " * 40 + "end", "世界" * 60 + "end")
        await until(pilot, lambda: len(texts(app)) == 2)
        text = "".join(row[13:] for row in drawn(app))
        assert text.replace(" ", "").count("end") == 2
        await pilot.press("w")
        await until(pilot, lambda: sum(map(bool, drawn(app))) == 2)
        await pilot.press(*["shift+right"] * 3)
        await until(pilot, lambda: view(app).scroll_x > 0)
        await pilot.press("w")
        await until(pilot, lambda: view(app).scroll_x == 0)


async def test_what_is_shown_is_saved(
    app: WhisperctlApp, engine: TalkingEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place [x]"
    place.mkdir()
    monkeypatch.chdir(place)
    async with running(app) as pilot:
        await open_logs(app, pilot)
        await pilot.press("ctrl+s")  # nothing is there yet
        engine.say("replica-1", "one", "two")
        engine.say("balancer", "one at the door")
        await until(pilot, lambda: len(texts(app)) == 3)
        await pilot.press("slash", *"one", "enter")
        await until(pilot, lambda: len(texts(app)) == 2)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("Saved 2 lines" in h.text for h in app.live.happenings))
        (path,) = place.iterdir()
        assert str(path) in next(h.text for h in app.live.happenings if "Saved" in h.text)
        assert path.read_text() == "replica-1 one\nbalancer  one at the door\n"
        path.unlink()
        place.rmdir()
        monkeypatch.setattr(Path, "cwd", lambda: Path("/proc/nowhere"))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("can't be written" in h.text for h in app.live.happenings))


async def test_a_stack_that_goes_is_told_once_and_found_again(
    app: WhisperctlApp, engine: TalkingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.logs.feed._RETRY", 0.02)
    async with running(app) as pilot:
        await open_logs(app, pilot)
        engine.say("replica-1", "one", "two")
        await until(pilot, lambda: len(texts(app)) == 2)
        engine.said.put_nowait(None)
        for _ in range(5):
            engine.said.put_nowait(StackError("There is no [stack]."))
        await until(pilot, engine.said.empty)
        await until(pilot, lambda: len(texts(app)) == 3)
        assert "has ended" in texts(app)[-1]
        engine.say("replica-1", "three")
        # What is read for a second time is not shown for a second time.
        await until(pilot, lambda: texts(app)[-1] == "three")
        assert [text for text in texts(app) if "ended" not in text] == ["one", "two", "three"]
        assert sum("ended" in text for text in texts(app)) == 1


async def test_lines_that_come_while_away_are_there_on_return(
    app: WhisperctlApp, engine: TalkingEngine
) -> None:
    async with running(app) as pilot:
        await open_logs(app, pilot)
        engine.say("replica-1", "one")
        await until(pilot, lambda: len(texts(app)) == 1)
        logs = app.screen
        await pilot.press("1")
        engine.say("replica-1", "two")
        await until(pilot, lambda: logs._stale)  # type: ignore[attr-defined]
        await pilot.press("4")
        await until(pilot, lambda: texts(app) == ["one", "two"])


async def test_a_flood_of_lines_leaves_the_keys_alive_and_memory_bounded(
    app: WhisperctlApp, engine: TalkingEngine
) -> None:
    async with running(app) as pilot:
        await open_logs(app, pilot)
        engine.say("balancer", "quiet")
        flood = 60_000
        sent = 0
        while sent < flood:
            engine.say("replica-1", *(f"{stampless} of the flood" for stampless in range(1_000)))
            sent += 1_000
            await pilot.pause(0.1)
        engine.say("replica-1", "the last")
        await until(pilot, lambda: texts(app)[-1:] == ["the last"], 60.0)
        assert len(texts(app)) <= LINES_KEPT
        assert "quiet" in texts(app)
        begun = time.monotonic()
        await pilot.press("e")
        await until(pilot, lambda: not texts(app))
        assert time.monotonic() - begun < 15


async def test_a_real_stack_is_read_scaled_and_gone(
    make_app: Apps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path / "state"))
    engine = ProcessEngine("logs")
    spec = StackSpec(name="logs", replicas=1, balancer=BalancerSpec(port=0))
    await engine.up(spec)
    app = make_app(engine=engine)
    try:
        async with running(app) as pilot:
            await open_logs(app, pilot)
            await until(pilot, lambda: any("Ready after" in text for text in texts(app)))
            sources = {entry.source for entry in view(app).entries}
            assert sources == {"replica-1", "balancer", "supervisor"}
            times = [text[:23] for text in texts(app)]
            assert times == sorted(times)
            await engine.scale(2, wait=False)
            await until(
                pilot,
                lambda: any(
                    entry.source == "replica-2" and "Ready after" in entry.text
                    for entry in view(app).entries
                ),
                60.0,
            )
            await engine.scale(1)
            await engine.down()
            await until(pilot, lambda: any("has ended" in text for text in texts(app)))
            assert any(entry.source == "replica-2" for entry in view(app).entries)
    finally:
        await engine.down()
