"""Each reason a request can fail for, met on a real socket and explained."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.rest_server import RestServer, free_port, hanging_up

from loadtest.clips import usable_clips
from loadtest.rest.client import Answer, RestClient, encode, transcript_of
from loadtest.rest.failures import RestFailure, explain, shown
from loadtest.rest.plan import AnswerFormat, RestPlan

MakePlan = Callable[..., RestPlan]


async def ask(plan: RestPlan, *, key: str | None = None) -> tuple[Answer, str]:
    """Send one request; return its answer, and what is said of its failure."""
    (clip, *_), _ = usable_clips(plan.audio_directory)
    async with RestClient(plan, concurrency=1, api_key=key) as client:
        answer = await client.send(encode([clip], plan)[0])
        return answer, client.explain(answer) if answer.failure else ""


async def test_a_good_answer(server: RestServer, make_rest_plan: MakePlan) -> None:
    server.replicas = ["replica-7"]
    plan = make_rest_plan(server.url, model="tiny", language="de")
    answer, _ = await ask(plan, key="s3cret")
    assert answer.failure is None
    assert (answer.status, answer.replica, answer.transcript) == (200, "replica-7", "alpha")
    assert server.keys == ["Bearer s3cret"]
    assert server.fields == [{"model": "tiny", "response_format": "json", "language": "de"}]
    detected = make_rest_plan(server.url, language=None, response_format=AnswerFormat.TEXT)
    answer, _ = await ask(detected)
    assert answer.transcript == "alpha"
    assert "language" not in server.fields[-1]
    assert server.keys[-1] == ""


@pytest.mark.parametrize(
    ("status", "failure", "words"),
    [
        (400, RestFailure.BAD_REQUEST, "--model"),
        (401, RestFailure.UNAUTHORIZED, "WHISPERCTL_API_KEY"),
        (403, RestFailure.UNAUTHORIZED, "WHISPERCTL_API_KEY"),
        (404, RestFailure.NOT_FOUND, "There is nothing at http"),
        (405, RestFailure.METHOD_NOT_ALLOWED, "--enable_rest"),
        (413, RestFailure.TOO_LARGE, "shorter clips"),
        (418, RestFailure.BAD_REQUEST, "status 418"),
        (429, RestFailure.TOO_MANY_REQUESTS, "fewer clients"),
        (500, RestFailure.SERVER_ERROR, "its log"),
        (502, RestFailure.BAD_GATEWAY, "no answer from a worker"),
        (503, RestFailure.UNAVAILABLE, "takes no requests now"),
        (504, RestFailure.GATEWAY_TIMEOUT, "longer than the balancer waits"),
        (507, RestFailure.SERVER_ERROR, "status 507"),
    ],
)
async def test_each_status_has_its_reason(
    server: RestServer, make_rest_plan: MakePlan, status: int, failure: RestFailure, words: str
) -> None:
    plan = make_rest_plan(f"http://127.0.0.1:{server.port}/status/{status}")
    answer, said = await ask(plan, key="s3cret")
    assert (answer.status, answer.failure) == (status, failure)
    assert words in said
    assert answer.detail == "no good: Bearer *** [31m"  # neither the key nor an escape
    assert "s3cret" not in said


async def test_a_wrong_method_is_the_servers_own_405(
    server: RestServer, make_rest_plan: MakePlan
) -> None:
    answer, said = await ask(make_rest_plan(f"http://127.0.0.1:{server.port}/get"))
    assert answer.failure is RestFailure.METHOD_NOT_ALLOWED
    assert f"POST at http://127.0.0.1:{server.port}/get/v1/audio/transcriptions (405)" in said


@pytest.mark.parametrize(
    ("where", "failure", "words"),
    [
        ("page", RestFailure.BAD_ANSWER, "it is not JSON, it begins with '<html>"),
        ("number", RestFailure.BAD_ANSWER, "it has no 'text'"),
        ("elsewhere", RestFailure.REDIRECT, "https://example.invalid/v1/audio/transcriptions"),
        ("nowhere", RestFailure.NOT_FOUND, "--rest_port"),
    ],
)
async def test_answers_that_are_none(
    server: RestServer, make_rest_plan: MakePlan, where: str, failure: RestFailure, words: str
) -> None:
    answer, said = await ask(make_rest_plan(f"http://127.0.0.1:{server.port}/{where}"))
    assert answer.failure is failure
    assert words in said


async def test_no_answer_in_time(server: RestServer, make_rest_plan: MakePlan) -> None:
    plan = make_rest_plan(f"http://127.0.0.1:{server.port}/hang", timeout=0.2)
    answer, said = await ask(plan)
    assert (answer.failure, answer.status) == (RestFailure.TIMEOUT, None)
    assert answer.latency >= 0.2
    assert "0.2 s" in said


async def test_nobody_there(make_rest_plan: MakePlan) -> None:
    answer, said = await ask(make_rest_plan(f"http://127.0.0.1:{free_port()}"))
    assert answer.failure is RestFailure.REFUSED
    assert "whisperctl up" in said
    answer, said = await ask(make_rest_plan("http://name.invalid"))
    assert answer.failure is RestFailure.UNREACHABLE
    assert "name.invalid" in said


async def test_no_tls_where_https_is_asked_for(
    server: RestServer, make_rest_plan: MakePlan
) -> None:
    answer, said = await ask(make_rest_plan(f"https://127.0.0.1:{server.port}"))
    assert answer.failure is RestFailure.TLS
    assert "https" in said


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a key and a certificate that nobody knows."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    files = {name: str(tmp_path / name) for name in ("key", "certificate")}
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", files["key"], "-out", files["certificate"]]
    subprocess.run(command, check=True, capture_output=True)
    both = tmp_path / "both"
    both.write_text("".join(Path(path).read_text() for path in files.values()))
    return both


async def test_a_certificate_of_ones_own(
    certificate: Path, make_rest_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RestServer()
    server.certificate = certificate
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with server.running():
        plan = make_rest_plan(f"https://127.0.0.1:{server.port}")
        answer, said = await ask(plan)
        assert answer.failure is RestFailure.TLS
        assert "SSL_CERT_FILE" in said
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        answer, _ = await ask(plan)
        assert answer.transcript == "alpha"


async def test_a_connection_that_breaks_off(make_rest_plan: MakePlan) -> None:
    with hanging_up() as port:
        answer, said = await ask(make_rest_plan(f"http://127.0.0.1:{port}"))
    assert answer.failure is RestFailure.DISCONNECTED
    assert "log" in said


@pytest.mark.parametrize("failure", list(RestFailure))
def test_every_reason_is_explained(failure: RestFailure) -> None:
    said = explain(failure, url="http://h/{x}", timeout=2.0, status=499, detail="a {brace}")
    assert re.match(r"[A-Zh].*[.?}]$", said)
    assert "None" not in said


def test_what_strangers_say_is_shown_in_one_short_line() -> None:
    assert shown("a\x1b[2J\n\tb\u202e") == "a [2J b"
    assert len(shown("x" * 10_000)) == 300


def test_answers_that_are_no_text() -> None:
    assert transcript_of(b'{"text": " a "}', AnswerFormat.JSON) == "a"
    for data in (b"", b"[]", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(ValueError, match="it "):
            transcript_of(data, AnswerFormat.JSON)
    with pytest.raises(ValueError, match="begins with"):
        transcript_of(b" <html>", AnswerFormat.TEXT)


def test_bodies_are_made_once_a_clip(make_rest_plan: MakePlan, clips: Path) -> None:
    plan = make_rest_plan("http://h")
    found, _ = usable_clips(clips)
    bodies = encode(found, plan)
    for body in bodies:
        assert body.clip.path.read_bytes() in body.content
        assert body.content_type.startswith("multipart/form-data; boundary=")
