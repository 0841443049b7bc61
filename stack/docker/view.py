"""The containers of a stack, looked at again only when Docker says that something happened."""

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import docker
import requests
from docker.errors import DockerException, NotFound

from stack.docker.client import connect
from stack.docker.containers import (
    GENERATOR,
    LABEL_DIGEST,
    LABEL_GENERATION,
    LABEL_MODEL,
    LABEL_PART,
    LABEL_SPEC,
    cluster_network,
    of_stack,
)
from stack.docker.errors import explained
from stack.engine import StackError
from stack.supervision.state import ContainerIdentity, Part

_LOOK_AGAIN: Final = 5.0
"""Seconds after which everything is looked at even if nothing was said."""


@dataclass(frozen=True, slots=True)
class SeenContainer:
    """One container as it was at the last look."""

    identity: ContainerIdentity
    part: str
    """``replica-1``, …, ``balancer``."""
    running: bool
    restarting: bool
    """Docker's own restart policy holds it back."""
    address: str
    """On the cluster network; empty while it does not run."""
    generation: int
    digest: str
    spec: str
    """JSON of the stack's spec; on the balancer."""
    stop_signal: str
    model: str
    """What a replica runs; empty where its container doesn't say."""
    created: str
    """When it was made, as the engine writes it; it is only compared."""

    @classmethod
    def of(cls, stack: str, inspected: Mapping[str, Any]) -> "SeenContainer":
        """Read what the engine says of a container."""
        state, labels = inspected["State"], inspected["Config"]["Labels"] or {}
        networks = inspected["NetworkSettings"]["Networks"] or {}
        generation = labels.get(LABEL_GENERATION, "0")
        return cls(
            identity=ContainerIdentity(container=inspected["Id"], started_at=state["StartedAt"]),
            part=labels.get(LABEL_PART, ""),
            running=bool(state["Running"]) and not state["Restarting"],
            restarting=bool(state["Restarting"]),
            address=(networks.get(cluster_network(stack)) or {}).get("IPAddress", ""),
            generation=int(generation) if generation.isdigit() else 0,
            digest=labels.get(LABEL_DIGEST, ""),
            spec=labels.get(LABEL_SPEC, ""),
            stop_signal=inspected["Config"].get("StopSignal") or "SIGTERM",
            model=labels.get(LABEL_MODEL, ""),
            created=str(inspected.get("Created", "")),
        )


class StackView:
    """Remembers the containers of one stack. Blocking; safe to be used from several threads."""

    def __init__(self, stack: str, client: docker.DockerClient) -> None:
        self._stack = stack
        self._client = client
        self._lock = threading.Lock()
        self._seen: dict[str, SeenContainer] = {}
        self._looked_at = -_LOOK_AGAIN
        self._changed = threading.Event()
        self._changed.set()
        self._watching = False

    def watch(self) -> None:
        """From now on look only when the engine reports an event, or after a few seconds."""
        threading.Thread(target=self._listen, name="docker events", daemon=True).start()

    def _listen(self) -> None:
        filters = {"type": "container"} | of_stack(self._stack)
        while True:
            # Whatever goes wrong, the engine's restart among it: looking goes on without events.
            with (
                contextlib.suppress(StackError, DockerException, requests.RequestException),
                contextlib.closing(connect(timeout=None)) as client,
            ):
                stream = client.events(decode=True, filters=filters)
                self._watching = True
                self._changed.set()
                for event in stream:
                    if not str(event.get("Action", "")).startswith("exec_"):
                        self._changed.set()
            self._watching = False
            self._changed.set()
            time.sleep(1.0)

    def look(self, *, anew: bool = False) -> None:
        """Look at the containers, if anything can have changed; raises StackError."""
        with self._lock:
            late = time.monotonic() - self._looked_at > _LOOK_AGAIN
            if not (anew or late or not self._watching or self._changed.is_set()):
                return
            self._changed.clear()
            with explained("list containers"):
                found = self._client.api.containers(all=True, filters=of_stack(self._stack))
            seen = {}
            for one in found:
                container = self.inspect(one["Id"])
                if container is not None and container.part != GENERATOR:
                    seen[container.identity.container] = container
            self._seen = seen
            self._looked_at = time.monotonic()

    def inspect(self, container: str) -> SeenContainer | None:
        """Look at one container, by id or name, and remember it; None when there is none."""
        with explained("look at a container"):
            try:
                inspected = self._client.api.inspect_container(container)
            except NotFound:
                return None
        seen = SeenContainer.of(self._stack, inspected)
        self._seen[seen.identity.container] = seen
        return seen

    def forget(self, container: str) -> None:
        """Forget a container that was removed."""
        self._seen.pop(container, None)

    def all(self) -> list[SeenContainer]:
        """Return the containers at the last look, replicas by number."""
        return sorted(self._seen.values(), key=lambda seen: (len(seen.part), seen.part))

    def named(self, part: str) -> SeenContainer | None:
        """Return the container of a part."""
        return next((seen for seen in self._seen.values() if seen.part == part), None)

    def running(self, part: Part | None) -> SeenContainer | None:
        """Return a container while this very life of it goes on."""
        if not isinstance(part, ContainerIdentity):
            return None
        seen = self._seen.get(part.container)
        return seen if seen is not None and seen.running and seen.identity == part else None
