"""The streams of our own load generator, written down for generators that are not ours."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtest.assignment import assign, piece_chunks, ramp_seconds
from loadtest.clips import Clip, read_samples
from loadtest.generator.opening import options_message
from loadtest.plan import ClientAssignment, LoadPlan
from loadtest.shards import on_this_machine, step_orders
from stack.protocol import SAMPLE_RATE, encode_audio


@dataclass(frozen=True, slots=True)
class Written:
    """An order on disk."""

    order: Path
    report: Path
    """Where the generator is to write what it measured."""
    messages: int
    """That all clients together send."""
    message_bytes: int


def write_order(plan: LoadPlan, clients: int, clips: Sequence[Clip], directory: Path) -> Written:
    """Write what each client sends, when it starts and where to; raises OSError."""
    library = _Library(plan)
    streams = [library.stream(client) for client in assign(plan, clients, clips)]
    audio, order, report = (directory / name for name in ("audio", "order.json", "report.json"))
    audio.write_bytes(b"".join(library.messages))
    ours = step_orders(plan, (), on_this_machine(plan))[0]
    said = {
        "url": ours.url,
        "options": json.loads(options_message(ours, "")),
        "chunk": plan.chunk,
        "ramp": ramp_seconds(plan, clients),
        "timeout": plan.finish_timeout,
        "report": str(report),
        "audio": str(audio),
        "message_bytes": library.message_bytes,
        "streams": streams,
    }
    order.write_text(json.dumps(said), encoding="utf-8")
    return Written(order, report, sum(map(len, streams)), library.message_bytes)


class _Library:
    """Each message once, however many clients send it."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._samples = round(plan.chunk * SAMPLE_RATE)
        self._numbers: dict[bytes, int] = {}
        self._pieces: dict[tuple[Path, int], list[int]] = {}
        self.message_bytes = self._samples * plan.audio_format.sample_bytes

    @property
    def messages(self) -> list[bytes]:
        """Return the messages in the order of their numbers."""
        return list(self._numbers)

    def stream(self, client: ClientAssignment) -> list[int]:
        """Return the numbers of a client's messages, in the order in which it sends them."""
        return [
            number for piece in client.pieces for number in self._piece(piece.path, piece.samples)
        ]

    def _piece(self, path: Path, samples: int) -> list[int]:
        key = (path, samples)
        if key not in self._pieces:
            count = piece_chunks(samples, self._plan.chunk)
            whole = np.zeros(count * self._samples, dtype=np.float32)
            whole[:samples] = read_samples(path, samples)
            self._pieces[key] = [
                self._number(encode_audio(part, self._plan.audio_format))
                for part in np.split(whole, count)
            ]
        return self._pieces[key]

    def _number(self, message: bytes | memoryview) -> int:
        return self._numbers.setdefault(bytes(message), len(self._numbers))
