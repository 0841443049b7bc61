"""nginx's configuration, rendered from what the stack should be. Pure.

Directives as nginx documents them (https://nginx.org/en/docs/); all of them are in nginx 1.18 and
later. The file is complete: nginx is started with ``-c`` on it and includes nothing else, so that
it does not matter what the image has in /etc/nginx.
"""

import json
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from stack.balancer.access import LOG_FIELDS
from stack.balancer.config import Target
from stack.spec import Strategy

LISTEN_PORT: Final = 8080
STATUS_PORT: Final = 8081
"""Where the supervisor asks for the targets and for stub_status; never published."""
TARGETS_PATH: Final = "/targets"
STUB_STATUS_PATH: Final = "/stub_status"
CONNECT_TIMEOUT: Final = 2
"""Seconds after which a replica that does not take a connection is passed over."""
FAIL_TIMEOUT: Final = 10
"""Seconds for which a replica that could not be reached is left alone."""
MAX_UPLOAD: Final = "32m"
"""More than the replica's own limit, so that it is the replica that says no and why."""
WORKERS: Final = 4
"""Not one a core: they only pass bytes on, and those with open sessions stay after each reload."""
WORKER_CONNECTIONS: Final = 8192
"""Connections of one worker: two a session."""

_HASH_KEY: Final = "$session_owner"


class NginxConfig(BaseModel):
    """What nginx's configuration depends on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Strategy = Strategy.LEAST_CONNECTIONS
    targets: tuple[Target, ...] = ()
    ipv6: bool = False
    """Listen on IPv6, too."""
    session_timeout: float = Field(default=3600.0, gt=0)
    """Seconds a session may last; what is silent a minute longer is ended."""
    listen_port: int = LISTEN_PORT
    status_port: int = STATUS_PORT


def render_nginx(config: NginxConfig) -> str:
    """Return the text of nginx.conf."""
    timeout = f"{int(config.session_timeout) + 60}s"
    return _TEMPLATE.format(
        upstream=_upstream(config),
        names=_names(config.targets),
        listen=_listen(config.listen_port, ipv6=config.ipv6),
        status_listen=_listen(config.status_port, ipv6=config.ipv6),
        sessions=_session_locations(config, timeout),
        targets=json.dumps({"targets": [target.name for target in config.targets]}),
        connections=WORKER_CONNECTIONS,
        workers=WORKERS,
        log_format=_log_format(),
    )


def _log_format() -> str:
    parts = [f'"{name}":{variable}' for name, variable in LOG_FIELDS.items()]
    lines = [f"        '{part},'" for part in parts]
    lines[0] = lines[0].replace("'", "'{", 1)
    lines[-1] = f"        '{parts[-1]}}}'"
    return "\n".join(lines)


def _address(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"


def _upstream(config: NginxConfig) -> str:
    if not config.targets:
        return ""
    # The zone is shared by all workers: without it each would count connections for itself.
    lines = ["    upstream replicas {", "        zone replicas 256k;"]
    match config.strategy:
        case Strategy.LEAST_CONNECTIONS:
            lines.append("        least_conn;")
        case Strategy.IP_HASH:
            lines.append("        ip_hash;")
        case Strategy.CONSISTENT_HASH:
            lines.append(f"        hash {_HASH_KEY} consistent;")
        case Strategy.ROUND_ROBIN:
            pass
    # A single server is never passed over, so max_fails costs nothing there.
    lines += [
        f"        server {_address(target)} max_fails=1 fail_timeout={FAIL_TIMEOUT}s;"
        for target in config.targets
    ]
    lines.append("    }")
    return "\n".join(lines)


def strategy_of(text: str) -> Strategy | None:
    """Return the strategy of a configuration that ``render_nginx`` made; None where none shows."""
    block = text.partition("upstream replicas {")[2].partition("}")[0]
    if not block:
        return None
    for word, strategy in (
        ("least_conn;", Strategy.LEAST_CONNECTIONS),
        ("ip_hash;", Strategy.IP_HASH),
        ("consistent;", Strategy.CONSISTENT_HASH),
    ):
        if word in block:
            return strategy
    return Strategy.ROUND_ROBIN


def _names(targets: Sequence[Target]) -> str:
    """Map the address that answered to the replica's name."""
    return "\n".join(f'        "{_address(target)}" {target.name};' for target in targets)


def _listen(port: int, *, ipv6: bool) -> str:
    lines = [f"        listen {port};"]
    if ipv6:
        lines.append(f"        listen [::]:{port};")
    return "\n".join(lines)


def _session_locations(config: NginxConfig, timeout: str) -> str:
    if not config.targets:
        return _NOBODY
    return "\n".join(
        _PROXY.format(
            location=location, timeout=timeout, upload=MAX_UPLOAD, connect=CONNECT_TIMEOUT
        )
        for location in ("= /", "= /v1/audio/transcriptions", "= /health", "= /ready")
    )


_NOBODY: Final = """\
        location / {
            default_type application/json;
            return 503 '{"error": "No replica takes sessions now; try again in a moment."}\\n';
        }"""

# A handshake, and any other GET, is tried elsewhere until a replica has answered; a file that is
# posted only until it has been sent on. 503 is what a replica that starts or drains answers to
# whoever can go elsewhere, which X-Balanced says.
_PROXY: Final = """\
        location {location} {{
            proxy_pass http://replicas;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_header;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_connect_timeout {connect}s;
            proxy_read_timeout {timeout};
            proxy_send_timeout {timeout};
            proxy_next_upstream error timeout http_503;
            proxy_set_header X-Balanced 1;
            proxy_next_upstream_tries 3;
            proxy_next_upstream_timeout 10s;
            proxy_buffering off;
            proxy_request_buffering off;
            client_max_body_size {upload};
            proxy_hide_header X-Replica;
            add_header X-Replica $replica_name always;
        }}"""

_TEMPLATE: Final = """\
# Made by whisperctl; changes are overwritten.
worker_processes {workers};
worker_rlimit_nofile 16384;
pid /tmp/nginx.pid;
# Lines of the levels below hold the whole request, and a query may hold a key. What became of each
# session is in the access log.
error_log /dev/stderr emerg;

events {{
    worker_connections {connections};
    multi_accept on;
}}

http {{
    # Everything that nginx writes is in /tmp: the rest of the container is read-only.
    client_body_temp_path /tmp/client_body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;

    # $uri, not the whole request: a query may hold a key.
    log_format sessions escape=json
{log_format};
    access_log /dev/stdout sessions;

    server_tokens off;
    keepalive_timeout 30s;
    client_header_timeout 10s;
    large_client_header_buffers 4 8k;
    # Open sessions outlive a reload in the old workers: no worker_shutdown_timeout.

    map $http_upgrade $connection_header {{
        default upgrade;
        ""      close;
    }}
    map $http_upgrade $upgrade_asked {{
        default         false;
        "~*^websocket$" true;
    }}
    # A session's uid, or the key it comes with, or at last its address.
    map $arg_token $key_or_address {{
        default $arg_token;
        ""      $remote_addr;
    }}
    map $http_authorization $authorization_or_else {{
        default $http_authorization;
        ""      $key_or_address;
    }}
    map $arg_uid $session_owner {{
        default $arg_uid;
        ""      $authorization_or_else;
    }}
    # After a retry $upstream_addr lists all that were tried; the last one answered.
    map $upstream_addr $last_upstream {{
        default "";
        "~(?<last_address>[^, ]+)$" $last_address;
    }}
    map $last_upstream $replica_name {{
        default $upstream_http_x_replica;
{names}
    }}

{upstream}

    server {{
{listen}
        server_name _;

{sessions}
    }}

    server {{
{status_listen}
        server_name _;
        access_log off;

        location = /targets {{
            default_type application/json;
            return 200 '{targets}';
        }}
        location = /stub_status {{
            stub_status;
        }}
    }}
}}
"""
