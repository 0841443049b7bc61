"""A server of known speed, and plans against it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.rest_server import RestServer

from loadtest.rest.plan import RestKind, RestPlan


@pytest.fixture
def server() -> Iterator[RestServer]:
    """Four slots, no delay."""
    with RestServer().running() as running:
        yield running


@pytest.fixture
def make_rest_plan(clips: Path) -> Callable[..., RestPlan]:
    """Make a plan of one step of eight requests."""

    def make(url: str, **values: Any) -> RestPlan:
        defaults: dict[str, Any] = {
            "kind": RestKind.SINGLE,
            "url": url,
            "concurrencies": (2,),
            "requests": 8,
            "audio_directory": clips,
            "timeout": 20.0,
        }
        return RestPlan(**(defaults | values))

    return make
