"""``whisperctl serve``: who comes in, what becomes of the consoles, and a real browser."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from support.browser import CHROMIUM, Browser
from support.serving import Serve, Served
from support.waiting import until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from console.cli import main
from loadtest.runfile import RunStatus
from loadtest.store import RunStore

PATHS = ("/", "/ws", "/page/page.js", "/static/js/textual.js", "/download/x", "/nothing")


def cookie_of(served: Served) -> str:
    """Exchange the token for a cookie."""
    answer = httpx.get(served.url)
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/"
    return answer.headers["Set-Cookie"].partition(";")[0]


@contextmanager
def console(
    served: Served, cookie: str, query: str = "?width=140&height=45", **headers: str
) -> Iterator[ClientConnection]:
    """Open a console as a browser does."""
    origin = headers.pop("Origin", f"http://{served.address}")
    with connect(
        f"ws://{served.address}/ws{query}",
        additional_headers={"Cookie": cookie, "Origin": origin, **headers},
        max_size=None,
    ) as connection:
        yield connection


def read_until(connection: ClientConnection, text: str) -> None:
    """Read what a console draws until this is in it."""
    drawn = b""
    while text.encode() not in drawn:
        data = connection.recv(timeout=30)
        drawn += data if isinstance(data, bytes) else b""


def test_nobody_comes_in_without_the_token(serve: Serve) -> None:
    served = serve()
    url = f"http://{served.address}"
    token = served.url.partition("token=")[2]
    assert len(token) >= 40
    for path in PATHS:
        for wrong in (
            {},
            {"Cookie": f"whisperctl={token}"},
            {"Cookie": cookie_of(served)[:-1] + "é"},
            {"Authorization": f"Bearer {token}"},
        ):
            answer = httpx.get(url + path, headers={k: v.encode() for k, v in wrong.items()})
            assert answer.status_code == 403, (path, wrong)
            assert token not in answer.text
    for query in ("?token=", "?token=wrong", f"?token={token[:-1]}", "?token=%ED%A0%80"):
        assert httpx.get(f"{url}/{query}").status_code == 403
    assert httpx.get(f"{url}/ws?token={token}").status_code == 403
    assert httpx.post(served.url).status_code == 403


def test_the_token_becomes_a_cookie_and_nothing_is_fetched_from_elsewhere(serve: Serve) -> None:
    served = serve()
    answer = httpx.get(served.url)
    attributes = {part.strip().lower() for part in answer.headers["Set-Cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert served.url.partition("token=")[2] not in str(answer.headers)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    cookie = {"Cookie": cookie_of(served)}
    page = httpx.get(f"http://{served.address}/", headers=cookie)
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "http" not in page.text.replace(f"ws://{served.address}/ws", "")
    assert served.url.partition("token=")[2] not in page.text
    for path in ("/page/page.js", "/page/page.css", "/static/js/textual.js"):
        assert httpx.get(f"http://{served.address}{path}", headers=cookie).status_code == 200
    for path in ("/static/", "/page/", "/static/../server.py", "/static/%2e%2e/server.py"):
        assert httpx.get(f"http://{served.address}{path}", headers=cookie).status_code >= 400


def test_names_and_pages_of_others_are_refused(serve: Serve) -> None:
    served = serve()
    cookie = cookie_of(served)
    for header, value, status in (
        ("Host", "evil.example", 421),
        ("Host", "127.0.0.1.evil.example:80", 421),
        ("Host", "192.0.2.1", 421),
        ("Host", 'localhost:80"x', 421),
        ("Origin", "http://evil.example", 403),
        ("Origin", "null", 403),
        ("Origin", "http://127.0.0.1:1", 403),
    ):
        headers = {"Cookie": cookie, header: value}
        for path in ("/", "/static/js/textual.js", served.url.partition(served.address)[2]):
            answer = httpx.get(f"http://{served.address}{path}", headers=headers)
            assert answer.status_code == status, (header, value)
            assert "Set-Cookie" not in answer.headers
        if header == "Origin":
            with pytest.raises(InvalidStatus), console(served, cookie, Origin=value):
                pass
    # A tunnel to this machine has a port of its own.
    tunnel = {"Cookie": cookie, "Host": "localhost:9999"}
    assert httpx.get(f"http://{served.address}/", headers=tunnel).status_code == 200


def test_a_websocket_without_an_origin_or_a_cookie_is_refused(serve: Serve) -> None:
    served = serve()
    cookie = {"Cookie": cookie_of(served)}
    for headers in (cookie, {"Origin": f"http://{served.address}"}):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{served.address}/ws", additional_headers=headers)
        assert refused.value.response.status_code == 403
    assert served.consoles == []


def test_requests_that_are_none_leave_no_word_of_them(serve: Serve) -> None:
    served = serve()
    host, _, port = served.address.partition(":")
    long = "a" * 100_000
    for request in (
        "GARBAGE",
        f"GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}",
        f"GET /?token={long} HTTP/1.1\r\nHost: localhost",
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: [::1",
        "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[x",
        f"GET /ws HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie_of(served)}",
    ):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(f"{request}\r\n\r\n".encode())
            assert connection.recv(100).split()[1].startswith(b"4"), request[:80]
    code, _, err = served.end()
    assert (code, err) == (0, "")


def test_consoles_are_bounded_in_number_and_size_and_end_with_their_browsers(serve: Serve) -> None:
    served = serve("--sessions", 2)
    cookie = cookie_of(served)
    page = f"http://{served.address}/"
    with (
        console(served, cookie, "?width=999999999&height=-4") as one,
        console(served, cookie) as two,
    ):
        read_until(two, "press u")
        with pytest.raises(InvalidStatus) as refused, console(served, cookie):
            pass
        assert refused.value.response.status_code == 503
        full = httpx.get(page, headers={"Cookie": cookie})
        assert full.status_code == 503
        assert "--sessions allows (2)" in full.text
        assert len(served.consoles) == 2
        one.close()
        until(
            lambda: httpx.get(page, headers={"Cookie": cookie}).status_code == 200,
            "a place for another",
        )
        for senseless in ("{", '["resize", {"width": "x"}]', "[" * 9999):
            with console(served, cookie) as other:
                other.send(senseless)
                with suppress(ConnectionClosed):
                    while other.recv(timeout=30):
                        pass
            until(lambda: len(served.consoles) <= 1, "the end of its console")
    with pytest.raises(InvalidStatus), console(served, cookie, "?width=many"):
        pass
    until(lambda: not served.consoles, "the end of the last")
    code, _, err = served.end()
    assert code == 0
    assert err == ""


def test_ctrl_c_saves_the_load_of_an_open_console_and_leaves_the_stack(
    serve: Serve, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--engine", "process", "--replicas", "1", "--port", "0"]) == 0
    try:
        served = serve(WHISPERCTL_SERVE_TOKEN="0123456789abcdef-own")
        assert "0123456789" not in served.url
        served.url = f"http://{served.address}/?token=0123456789abcdef-own"
        results = tmp_path / "results"
        with console(served, cookie_of(served)) as connection:
            read_until(connection, "replica-1")
            (process,) = served.consoles
            assert "WHISPERCTL_SERVE_TOKEN" not in process.environ()
            connection.send('["stdin", "l"]')
            read_until(connection, "what load")
            connection.send('["stdin", "\\r"]')

            def rows() -> int:
                return sum(p.read_bytes().count(b'"row"') for p in results.glob("*.journal"))

            until(lambda: rows() >= 2, "two seconds of load")
            code, out, err = served.end()
        assert (code, err) == (0, "")
        assert "0123456789" not in out
        assert not process.is_running()
        assert RunStore(results).load("latest").status is RunStatus.STOPPED
        capsys.readouterr()
        assert main(["status", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["replicas"][0]["state"] == "ready"
    finally:
        main(["down"])


def test_consoles_do_not_outlive_a_server_that_is_killed(serve: Serve) -> None:
    served = serve()
    with console(served, cookie_of(served)) as connection:
        read_until(connection, "press u")
        (process,) = served.consoles
        os.kill(served.process.pid, signal.SIGKILL)
        until(lambda: not process.is_running(), "the end of its console", 30.0)


def test_what_cannot_be_served_is_a_sentence(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    err = capsys.readouterr().err
    assert f"--host 127.0.0.1 --port {port} can't be opened: address already in use" in err
    assert err.count("\n") == 1
    assert main(["serve", "--name", "No Name"]) == 2
    monkeypatch.setenv("WHISPERCTL_SERVE_TOKEN", "short")
    assert main(["serve", "--port", "0"]) == 2
    assert "WHISPERCTL_SERVE_TOKEN is too short" in capsys.readouterr().err


def test_beyond_this_machine_it_warns_and_answers_to_addresses(serve: Serve) -> None:
    served = serve("--host", "0.0.0.0")  # noqa: S104 - that is what is tested
    port = served.address.rpartition(":")[2]
    served.url = served.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
    cookie = {"Cookie": cookie_of(served)}
    for host, status in (("192.0.2.1", 200), ("evil.example", 421), ("localhost", 200)):
        headers = {**cookie, "Host": f"{host}:{port}"}
        assert httpx.get(f"http://127.0.0.1:{port}/", headers=headers).status_code == status
    code, _, err = served.end(signal.SIGTERM)
    assert code == 0
    assert err.count("\n") == 1
    assert "an SSH tunnel" in err


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_the_dashboard_and_a_key_scales_the_stack(
    serve: Serve, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--engine", "process", "--replicas", "1", "--port", "0"]) == 0
    try:
        served = serve()
        with Browser(tmp_path / "profile") as browser:
            browser.open(served.url)
            until(lambda: "replica-1" in browser.terminal, "the dashboard")
            until(lambda: "sessions per replica" in browser.terminal, "the charts")
            assert browser.evaluate("location.href") == f"http://{served.address}/"
            assert browser.evaluate("document.cookie") == ""
            browser.press("+")
            until(lambda: "2/2 replicas" in browser.terminal, "another replica")
            assert len(browser.picture()) > 10_000, "the page is blank"
            requests = [one for one in browser.requested if not one.startswith("data:")]
            assert len(requests) >= 5
            assert all(one.startswith(f"http://{served.address}/") for one in requests), requests
            refused = [one for one in browser.events if "Content Security" in json.dumps(one)]
            assert refused == []
            until(lambda: len(served.consoles) == 1, "one console")
            process = psutil.Process(served.consoles[0].pid)
        # The browser has gone, and its console with it.
        until(lambda: not process.is_running(), "the end of the console")
        capsys.readouterr()
        assert main(["status", "--json"]) == 0
        replicas = json.loads(capsys.readouterr().out)["replicas"]
        assert [one["state"] for one in replicas] == ["ready", "ready"]
        assert served.end()[0] == 0
    finally:
        main(["down"])
