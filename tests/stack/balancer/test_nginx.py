"""nginx's configuration: nginx itself accepts every one; its clauses say what they should."""

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stack.balancer.config import Target
from stack.balancer.nginx import NginxConfig, render_nginx, strategy_of
from stack.spec import Strategy

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def targets(count: int, *, ipv6: bool = False) -> tuple[Target, ...]:
    return tuple(
        Target(
            name=f"replica-{number}",
            host=f"fd00::{number:x}" if ipv6 else f"172.18.0.{number + 1}",
            port=9090,
        )
        for number in range(1, count + 1)
    )


@pytest.mark.skipif(NGINX is None, reason="needs nginx")
@pytest.mark.parametrize("strategy", list(Strategy))
def test_nginx_accepts_every_configuration(strategy: Strategy, tmp_path: Path) -> None:
    assert NGINX is not None
    for count, ipv6 in itertools.product((0, 1, 2, 3, 17, 64), (False, True)):
        config = NginxConfig(strategy=strategy, targets=targets(count, ipv6=ipv6), ipv6=ipv6)
        file = tmp_path / "nginx.conf"
        file.write_text(render_nginx(config))
        tested = subprocess.run(
            [NGINX, "-t", "-c", file], capture_output=True, text=True, check=False, timeout=30
        )
        assert tested.returncode == 0, tested.stderr
        assert "[warn]" not in tested.stderr.replace('the "user" directive', "")


@pytest.mark.parametrize(
    ("strategy", "clause"),
    [
        (Strategy.LEAST_CONNECTIONS, "least_conn;"),
        (Strategy.IP_HASH, "ip_hash;"),
        (Strategy.CONSISTENT_HASH, "hash $session_owner consistent;"),
        (Strategy.ROUND_ROBIN, None),
    ],
)
def test_the_strategy_is_the_one_asked_for(strategy: Strategy, clause: str | None) -> None:
    text = render_nginx(NginxConfig(strategy=strategy, targets=targets(2)))
    found = re.search(r"upstream replicas \{(.*?)\}", text, re.DOTALL)
    assert found is not None
    clauses = {line.strip() for line in found[1].splitlines() if line.strip()}
    methods = {"least_conn;", "ip_hash;", "hash $session_owner consistent;"}
    assert clauses & methods == ({clause} if clause else set())
    assert "zone replicas 256k;" in clauses, "all workers count the same connections"
    assert sum(one.startswith("server ") for one in clauses) == 2


def test_streams_of_an_hour_pass_and_no_session_is_cut_at_a_reload() -> None:
    text = render_nginx(NginxConfig(targets=targets(1), session_timeout=7200))
    assert "proxy_read_timeout 7260s;" in text
    assert "worker_shutdown_timeout" not in re.sub(r"#.*", "", text)
    assert "proxy_set_header Upgrade $http_upgrade;" in text
    assert "proxy_buffering off;" in text


def test_neither_figures_nor_drain_are_open_to_clients() -> None:
    text = render_nginx(NginxConfig(targets=targets(1)))
    public, private = text.split("    server {")[1:]
    locations = re.findall(r"location (.*?) \{", public)
    assert set(locations) == {"= /", "= /v1/audio/transcriptions", "= /health", "= /ready"}
    assert "stub_status" in private


def test_no_key_is_logged() -> None:
    text = render_nginx(NginxConfig(targets=targets(1)))
    found = re.search(r"log_format.*?;", text, re.DOTALL)
    assert found is not None
    for holder in ("$request ", '"$request"', "$request_uri", "$args", "$http_authorization"):
        assert holder not in found[0]


def test_without_a_replica_the_answer_says_so() -> None:
    text = render_nginx(NginxConfig())
    assert "return 503" in text
    assert "upstream replicas" not in text


def test_the_strategy_is_found_again_in_what_was_rendered() -> None:
    for strategy in Strategy:
        text = render_nginx(NginxConfig(strategy=strategy, targets=targets(2)))
        assert strategy_of(text) is strategy
    assert strategy_of(render_nginx(NginxConfig())) is None, "without replicas nothing shows it"
    assert strategy_of("") is None
