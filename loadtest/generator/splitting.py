"""Splitting what a server sends into WebSocket frames. Pure.

Nearly all of it are short text messages of one frame each. They are taken out here; everything else
goes, a whole frame at a time, to websockets' core, which knows all the rules (RFC 6455, 5.2).
"""

from collections.abc import Iterator
from typing import Final

_WHOLE_TEXT: Final = 0x81
"""First byte of a text message in one frame: FIN, no reserved bits, opcode 1."""
_FIN: Final = 0x80
_OPCODE: Final = 0x0F
_CONTROL: Final = 0x08
_MASK: Final = 0x80


class FrameSplitter:
    """Takes bytes as they come; remembers the beginning of a frame that isn't whole yet."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._rest = b""
        self._fragmented = False
        """Whether the core has the beginning of a message whose end is to come."""

    def split(self, data: bytes) -> Iterator[tuple[bool, bytes]]:
        """Yield whole text messages (True, payload) and whole other frames (False, frame).

        A frame longer than ``max_size`` is handed on at once: the core refuses it by its header.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        place, size = 0, len(data)
        while size - place >= 2:
            first, second = data[place], data[place + 1]
            length, start = second & ~_MASK, place + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                if start > size:
                    break
                length = int.from_bytes(data[place + 2 : start], "big")
            masked = second & _MASK
            if masked:
                # No server may do that; the core says so.
                start += 4
            end = start + length
            if length > self._max_size:
                yield False, data[place:]
                return
            if end > size:
                break
            if first == _WHOLE_TEXT and not masked and not self._fragmented:
                yield True, data[start:end]
            else:
                if not first & _OPCODE & _CONTROL:
                    self._fragmented = not first & _FIN
                yield False, data[place:end]
            place = end
        self._rest = data[place:]
