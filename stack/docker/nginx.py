"""nginx in its container: a configuration is tested, then applied, and no open session notices.

nginx keeps open WebSockets on its old workers until they end. A reload is done when no old worker
takes new connections any more, which its process titles tell; only then may a replica drain.
"""

import time
from typing import Final

import docker
from docker.errors import APIError

from stack.docker.containers import BALANCER_DIRECTORY, CONFIG_NAME, NGINX_CONFIG
from stack.docker.errors import explained
from stack.docker.files import put_file, read_file
from stack.supervision.runtime import BalancerRefusesError

_CANDIDATE: Final = "candidate.conf"
_SETTLE_TIMEOUT: Final = 10.0
_LOOK_INTERVAL: Final = 0.05


class NginxContainer:
    """Configures the nginx of one container. Blocking."""

    def __init__(self, client: docker.DockerClient, container: str) -> None:
        self._client = client
        self._api = client.api
        self.container = container
        """Its id."""

    def write(self, text: str, name: str = CONFIG_NAME) -> None:
        """Put a file into the configuration volume; works before the container has started."""
        put_file(self._client, self.container, BALANCER_DIRECTORY, name, text.encode())

    def read(self) -> str | None:
        """Return the configuration that is there; None when there is none."""
        data = read_file(self._client, self.container, NGINX_CONFIG)
        return data.decode("utf-8", "replace") if data is not None else None

    def apply(self, text: str) -> None:
        """Test a configuration, make it the running one, and wait until only it is in use.

        Raises BalancerRefusesError with nginx's reason when it is not usable; nothing has changed
        then.
        """
        self.write(text, _CANDIDATE)
        code, said = self._run(["nginx", "-t", "-q", "-c", f"{BALANCER_DIRECTORY}/{_CANDIDATE}"])
        if code != 0:
            raise BalancerRefusesError(
                f"nginx refuses the new configuration, the old one stays: {_reason(said)}"
            )
        self.write(text)
        before = self._accepting_workers()
        code, said = self._run(["nginx", "-s", "reload", "-c", NGINX_CONFIG])
        if code != 0:
            raise BalancerRefusesError(f"nginx could not be told to reload: {_reason(said)}")
        deadline = time.monotonic() + _SETTLE_TIMEOUT
        while time.monotonic() < deadline:
            now = self._accepting_workers()
            if now and not now & before:
                return
            time.sleep(_LOOK_INTERVAL)
        raise BalancerRefusesError(
            f"nginx has not taken the new configuration within {_SETTLE_TIMEOUT:g} s; "
            "look at 'whisperctl logs balancer'."
        )

    def _accepting_workers(self) -> set[str]:
        """Return the host's process ids of the workers that take new connections."""
        with explained("look at the balancer's processes"):
            try:
                listed = self._api.top(self.container, ps_args="-eo pid,args")
            except APIError:
                return set()
        return {
            str(row[0])
            for row in listed["Processes"] or []
            if "nginx: worker process" in row[-1] and "shutting down" not in row[-1]
        }

    def _run(self, command: list[str]) -> tuple[int, str]:
        with explained("run a command in the balancer"):
            started = self._api.exec_create(self.container, command)
            output = self._api.exec_start(started["Id"])
            code = self._api.exec_inspect(started["Id"])["ExitCode"]
        return int(code if code is not None else 1), output.decode("utf-8", "replace")


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    worst = [line for line in lines if "[emerg]" in line or "[alert]" in line]
    reason = (worst or lines or ["it did not say why"])[0]
    return reason.removeprefix("nginx: ")[:300]
