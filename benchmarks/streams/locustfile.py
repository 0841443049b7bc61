"""Locust as its users write it for WebSockets: a User of their own on websocket-client.

``STREAMS_ORDER`` in the environment names the order. Answers are read by a greenlet beside the one
that sends, as in locust-plugins' users for sockets; each that moves the transcript is a request of
Locust's statistics.
"""

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import gevent
import websocket
from locust import User, events, task
from locust.env import Environment
from locust.exception import StopUser

from benchmarks.streams.peer import END_OF_AUDIO, LEAD, Order, Record, Session

ORDER = Order(Path(os.environ["STREAMS_ORDER"]))
RECORD = Record(ORDER)


@events.test_start.add_listener
def _begin(environment: Environment, **_: Any) -> None:
    Speaker.begin = time.monotonic() + LEAD


@events.quitting.add_listener
def _write(environment: Environment, **_: Any) -> None:
    RECORD.write()


class Speaker(User):
    """One session, then no more."""

    numbers = itertools.count()
    begin = 0.0
    left = len(ORDER.streams)

    @task
    def speak(self) -> None:
        """Play one session."""
        client = next(self.numbers)
        # Locust spawns a second's users at once: they would all send in the same millisecond.
        gevent.sleep(max(0.0, self.begin + ORDER.start_of(client) - time.monotonic()))
        try:
            self._session(ORDER.streams[client])
        except Exception as error:
            RECORD.failed(type(error).__name__)
        else:
            RECORD.succeeded += 1
        Speaker.left -= 1
        if not Speaker.left:
            gevent.spawn(self.environment.runner.quit)
        raise StopUser

    def _session(self, messages: list[bytes]) -> None:
        connection = websocket.create_connection(ORDER.url, timeout=ORDER.timeout)
        try:
            connection.send(ORDER.options())
            answer = json.loads(connection.recv())
            if answer.get("message") != "SERVER_READY":
                raise ConnectionError(f"answered {answer}")
            first_send = time.monotonic()
            session = Session(RECORD, first_send)
            receiving = gevent.spawn(self._receive, connection, session)
            for index, message in enumerate(messages):
                due = first_send + index * ORDER.chunk
                gevent.sleep(max(0.0, due - time.monotonic()))
                RECORD.slip.append(time.monotonic() - due)
                connection.send_binary(message)
            connection.send_binary(END_OF_AUDIO)
            receiving.get(timeout=ORDER.timeout)
            if not session.has_text:
                raise ConnectionError("no text")
        finally:
            connection.close()

    def _receive(self, connection: websocket.WebSocket, session: Session) -> None:
        """Take in answers until the server closes; raises where it does not in order."""
        while True:
            opcode, data = connection.recv_data()
            received = time.monotonic()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return
            latency = session.heard(data, received)
            if latency is not None:
                self.environment.events.request.fire(
                    request_type="WS",
                    name="update",
                    response_time=latency * 1000,
                    response_length=len(data),
                    exception=None,
                    context={},
                )
