"""The audio of a generator's clients as ready-made frames: encoded once a clip, shared by all."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtest.assignment import piece_chunks
from loadtest.clips import read_samples
from loadtest.generator.connection import encode_frame
from loadtest.plan import ClientAssignment, Piece
from stack.protocol import SAMPLE_RATE, AudioFormat, encode_audio


@dataclass(frozen=True, slots=True)
class Stream:
    """What one client plays."""

    frames: list[bytes]
    """One a message; most of them are other clients' frames, too."""
    chunk: float
    """Seconds of audio a message."""
    reference: str | None
    word_ends: tuple[float, ...] | None
    """Where each word of the normalised reference ends, seconds; None where that is not known."""
    name: str

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.frames) * self.chunk


class FrameLibrary:
    """Cuts clips into messages.

    Each piece begins with a message of its own: silence fills its last one up. So a clip's frames
    are the same wherever in a stream it comes, and memory grows with the clips, not the clients.
    """

    def __init__(
        self, clients: Iterable[ClientAssignment], chunk: float, audio_format: AudioFormat
    ) -> None:
        self._chunk = chunk
        self._samples = round(chunk * SAMPLE_RATE)
        self._format = audio_format
        self._longest: dict[Path, int] = {}
        for piece in (piece for client in clients for piece in client.pieces):
            self._longest[piece.path] = max(piece.samples, self._longest.get(piece.path, 0))
        self._clips: dict[Path, list[bytes]] = {}
        self._ends: dict[tuple[Path, int], bytes] = {}
        self._silence = self._frame(np.zeros(0, dtype=np.float32))

    def _frame(self, samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> bytes:
        whole = np.zeros(self._samples, dtype=np.float32)
        whole[: samples.size] = samples
        return encode_frame(encode_audio(whole, self._format))

    def stream(self, pieces: tuple[Piece, ...]) -> Stream:
        """Put a client's stream together; raises OSError and wave.Error for clips that are gone."""
        frames: list[bytes] = []
        ends: list[float] = []
        known = True
        for piece in pieces:
            frames += [self._silence] * round(piece.silence_before / self._chunk)
            start = len(frames) * self._chunk
            if piece.word_ends is None:
                known = False
            else:
                ends.extend(start + end for end in piece.word_ends)
            frames += self._piece(piece)
        references = [piece.reference for piece in pieces]
        return Stream(
            frames=frames,
            chunk=self._chunk,
            reference=(
                None
                if any(reference is None for reference in references)
                else " ".join(reference for reference in references if reference)
            ),
            word_ends=tuple(ends) if known else None,
            name="+".join(piece.path.name for piece in pieces),
        )

    def _piece(self, piece: Piece) -> list[bytes]:
        clip = self._clips.get(piece.path)
        if clip is None:
            audio = read_samples(piece.path, self._longest[piece.path])
            clip = self._clips[piece.path] = [
                self._frame(audio[start : start + self._samples])
                for start in range(0, audio.size, self._samples)
            ]
        count = piece_chunks(piece.samples, self._chunk)
        if piece.samples == self._longest[piece.path]:
            return clip
        whole = piece.samples // self._samples
        if whole == count:
            return clip[:count]
        # A clip that is cut shares all its messages but the last.
        key = (piece.path, piece.samples)
        if key not in self._ends:
            rest = read_samples(piece.path, piece.samples)[whole * self._samples :]
            self._ends[key] = self._frame(rest)
        return [*clip[:whole], self._ends[key]]
