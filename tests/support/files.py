"""Requests to ``/v1/audio/transcriptions``, and a model that takes its time."""

import threading
from typing import Any

import httpx

from stack.replica.hearing import Heard, Request
from stack.replica.rest import PATH
from stack.replica.transcriber import Transcriber
from support.replica import Wrapping


def post(
    running: Any, data: bytes | None, name: str = "speech.wav", **fields: Any
) -> httpx.Response:
    """Send a file and form fields; without data, a form with no file."""
    headers = fields.pop("headers", {})
    files = {"file": (name, data)} if data is not None else {"other": ("x", b"")}
    form = {"model": "whisper-1", **fields}
    return running.http.post(PATH, files=files, data=form, headers=headers)


def refusal(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Check the shape of an error and give what is in it."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith(".")
    assert "Traceback" not in error["message"]
    return error


class Held(Wrapping):
    """A model that waits before it hears a file."""

    def __init__(self, transcriber: Transcriber) -> None:
        super().__init__(transcriber)
        self.go = threading.Event()
        self.asked = threading.Event()

    def hear(self, request: Request) -> Heard | Exception:
        if request.accurate:
            self.asked.set()
            assert self.go.wait(30)
        return super().hear(request)
