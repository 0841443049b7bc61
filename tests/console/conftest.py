"""The console with an engine in memory and a load controller that plays what it is given."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.engine import FakeEngine
from support.load import FakeController
from support.runs import client_result, example_run

from console.app import WhisperctlApp
from loadtest.plan import LoadPlan
from loadtest.store import RunStore
from stack.spec import StackSpec
from test_audio import CLIPS_DIRECTORY


@pytest.fixture(autouse=True)
def _plain_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Make screens the same everywhere."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    for name in ("NO_COLOR", "COLORTERM", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)
    # Whatever plans the person keeps who runs the tests.
    monkeypatch.setenv("WHISPERCTL_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))
    # Charts look at what was chosen before.
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    """Three runs and a broken file; the directory has the same name in every picture."""
    monkeypatch.chdir(tmp_path)
    store = RunStore(Path("results"))
    for number, (clients, factor) in enumerate(((1, 1.0), (2, 1.5), (4, 4.0))):
        samples = [factor * (0.2 + 0.002 * index) for index in range(120)]
        run = example_run(
            f"run_{clients}_clients_20260101_00000{number}",
            clients=clients,
            created=datetime(2026, 1, 1, 0, 0, number, tzinfo=UTC),
            label="before" if clients < 4 else "after",
            results=[client_result(index, latency_samples=samples) for index in range(clients)],
        )
        run.timeline = FakeController.rows(seconds=20, clients=clients, factor=factor)
        store.save(run)
    (store.directory / "broken.json").write_text("{")
    return store


@pytest.fixture
def make_app(tmp_path: Path, results: RunStore) -> Callable[..., WhisperctlApp]:
    """Make an app; ``up`` says whether the stack runs already."""

    def make(*, up: bool = True, engine: FakeEngine | None = None, **values: Any) -> WhisperctlApp:
        spec = StackSpec(replicas=2)
        controllers: list[FakeController] = []

        def make_controller(plan: LoadPlan) -> FakeController:
            controllers.append(FakeController(plan))
            return controllers[-1]

        app = WhisperctlApp(
            engine=engine or FakeEngine(up=spec if up else None),
            spec=spec,
            plan=LoadPlan(
                clients=(1, 2),
                audio_directory=CLIPS_DIRECTORY,
                results_directory=results.directory,
                duration=20.0,
            ),
            store=results,
            make_controller=make_controller,  # type: ignore[arg-type]
            **values,
        )
        app.animation_level = "none"
        app.controllers = controllers  # type: ignore[attr-defined]
        return app

    return make
