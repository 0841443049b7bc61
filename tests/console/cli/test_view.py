"""``whisperctl tui`` and ``whisperctl demo --tui`` open the console they say."""

from pathlib import Path

import pytest
from support.commands import Command

from console.app import WhisperctlApp


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[WhisperctlApp]:
    """Note the apps that would run."""
    apps: list[WhisperctlApp] = []

    def note(app: WhisperctlApp) -> None:
        apps.append(app)

    monkeypatch.setattr(WhisperctlApp, "run", note)
    return apps


def test_the_console_looks_after_the_stack_that_was_named(
    run: Command, opened: list[WhisperctlApp], tmp_path: Path
) -> None:
    assert run("tui", "--name", "other", "--replicas", 3, "--results-dir", tmp_path).code == 0
    (app,) = opened
    assert app.engine.stack_name == "other"
    assert app.spec.replicas == 3
    assert app.plan.results_directory == tmp_path
    assert run("tui", "--name", "No Name").code == 2


def test_the_demonstration_in_the_console_has_its_own_stack(
    run: Command, opened: list[WhisperctlApp], tmp_path: Path
) -> None:
    run("demo", "--tui", "--results-dir", tmp_path)
    (app,) = opened
    assert app.engine.stack_name == "demo"
    assert app.plan.clients == (1, 2, 4)
