"""The image of a stack of containers, built from the console; Docker itself is a stand-in."""

import threading
from collections.abc import Callable, Iterator

import pytest
from support.console import running, until
from support.engine import FakeEngine

from console.app import WhisperctlApp
from console.screens.dialogs import Question
from console.widgets.bars import StackBar
from stack.engine import StackError
from stack.spec import ContainerSpec, EngineName, StackSpec

Apps = Callable[..., WhisperctlApp]


class Builder:
    """Says three lines and waits in the middle until it is let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.built: list[str] = []
        self.fail = ""

    def __call__(self, client: object, *, tag: str, **options: object) -> Iterator[str]:
        yield "Step 1/9 : FROM somewhere"
        assert self.go_on.wait(30)
        yield "Step 2/9 : RUN something"
        if self.fail:
            raise StackError(self.fail)
        yield "Step 3/9 : COPY it"
        self.built.append(tag)


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    made = Builder()
    monkeypatch.setattr("stack.docker.client.connect", lambda: None)
    monkeypatch.setattr("stack.images.build.build_image", made)
    return made


@pytest.fixture
def app(make_app: Apps) -> WhisperctlApp:
    engine = FakeEngine()
    engine.fail = "Image whisperctl:latest is not there; build it with 'whisperctl build'."
    made = make_app(engine=engine)
    made.spec = StackSpec(replicas=2, engine=EngineName.DOCKER, containers=ContainerSpec())
    return made


def bar(app: WhisperctlApp) -> str:
    return str(app.screen_stack[0].query_one(StackBar).content)


async def test_a_missing_image_is_offered_built_and_used(
    app: WhisperctlApp, builder: Builder
) -> None:
    async with running(app) as pilot:
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: "building image whisperctl:latest" in bar(app))
        await until(pilot, lambda: "Step 1/9" in bar(app))
        assert "esc stops it" in bar(app)
        builder.go_on.set()
        await until(pilot, lambda: app.live.status.ready_replicas == 2)
        assert builder.built == ["whisperctl:latest"]


async def test_a_build_is_stopped_and_says_what_is_left(
    app: WhisperctlApp, builder: Builder
) -> None:
    async with running(app) as pilot:
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: "Step 1/9" in bar(app))
        await pilot.press("escape")
        builder.go_on.set()
        await until(pilot, lambda: not app.live.busy)
        assert any("kept for next time" in one.text for one in app.live.happenings)
        assert app.live.absent
        assert builder.built == []


async def test_a_build_that_fails_is_one_sentence(app: WhisperctlApp, builder: Builder) -> None:
    builder.fail = "Image whisperctl:latest can't be built: no network."
    builder.go_on.set()
    async with running(app) as pilot:
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert "Build the image" in titles
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: any(builder.fail == one.text for one in app.live.happenings))
        assert app.live.absent
