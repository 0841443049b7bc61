"""What an address means, and which steps a ladder has."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loadtest.rest.plan import RestKind, RestPlan, endpoint, ladder


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/v1/audio/transcriptions"),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000/v1/audio/transcriptions"),
        ("127.0.0.1:9000/v1", "http://127.0.0.1:9000/v1/audio/transcriptions"),
        ("https://api.example/openai/v1/", "https://api.example/openai/v1/audio/transcriptions"),
        ("http://h/v2", "http://h/v2/audio/transcriptions"),
        ("http://h/v1/audio/transcriptions/", "http://h/v1/audio/transcriptions"),
        ("http://h/own/audio/transcriptions", "http://h/own/audio/transcriptions"),
        ("http://[::1]:9000/whisper", "http://[::1]:9000/whisper/v1/audio/transcriptions"),
    ],
)
def test_a_base_url_with_or_without_the_path(given_url: str, expected: str) -> None:
    assert endpoint(given_url) == expected
    assert endpoint(expected) == expected


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no address"),
        ("ftp://h/v1", "no address"),
        ("http://h:99999", "no address"),
        ("http://:80", "no address"),
        ("http://user:s3cret@h/v1", "WHISPERCTL_API_KEY"),
        ("http://h/v1?key=s3cret", "'?'"),
        ("http://h/v 1", "spaces"),
        ("http://h/\x1b[31m", "control"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("?", r"\?")) as caught:
        endpoint(url)
    assert "s3cret" not in str(caught.value)


@given(st.integers(1, 64))
def test_a_ladder_doubles_and_ends_where_it_should(largest: int) -> None:
    rungs = ladder(largest)
    assert rungs[0] == 1
    assert rungs[-1] == largest
    assert all(high == 2 * low for low, high in pairwise(rungs[:-1]))
    assert all(low < high <= 2 * low for low, high in pairwise(rungs))


def test_each_client_sends_four_requests_at_least() -> None:
    plan = RestPlan(
        kind=RestKind.SINGLE,
        url="http://h",
        concurrencies=(1, 64),
        requests=50,
        audio_directory=Path(),
    )
    assert plan.requests_of(1) == 50
    assert plan.requests_of(64) == 256
    assert plan.warm_up_of(64) == 64
    timed = plan.model_copy(update={"duration": 5.0, "warm_up": 0})
    assert timed.requests_of(1) is None
    assert timed.warm_up_of(64) == 0


def test_workers_belong_to_scaling_alone() -> None:
    values = {"url": "http://h", "concurrencies": (4,), "audio_directory": Path()}
    with pytest.raises(ValidationError, match="workers"):
        RestPlan(kind=RestKind.SCALING, **values)
    with pytest.raises(ValidationError, match="workers"):
        RestPlan(kind=RestKind.SINGLE, workers=(1,), **values)
