"""What tests of the benchmarks share."""

import pytest

from loadtest.plan import LoadPlan
from stack.process.parts import free_port
from test_audio import CLIPS_DIRECTORY


@pytest.fixture
def plan(tmp_path):
    return LoadPlan(
        clients=(3,),
        port=free_port(),
        audio_directory=CLIPS_DIRECTORY,
        results_directory=tmp_path,
        duration=12.0,
    )
