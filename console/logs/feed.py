"""What a stack's parts write, as it comes: read ahead of the screen, within bounds."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from console.logs.lines import LINES_KEPT
from stack.engine import Engine, StackError
from stack.log_order import by_time
from stack.status import LogLine

OWN: Final = "whisperctl"
"""The source of the lines that say what became of the reading itself."""
_TAIL: Final = 1000
_RETRY: Final = 1.0
_BREATH: Final = 200
"""Lines after which others on the event loop get their turn."""


class LogFeed:
    """Follows all parts of one stack; when it is gone, says so once and looks for it again."""

    def __init__(self, engine: Engine, known: Callable[[], Mapping[str, set[str]]]) -> None:
        self._engine = engine
        self._known = known
        """Gives the texts that are there already, by part: they are read again after a break."""
        self._pending: deque[LogLine] = deque(maxlen=LINES_KEPT)
        self._skipped = 0
        self._away = False

    async def follow(self) -> None:
        """Read for ever."""
        while True:
            try:
                await self._read()
                self._lost(f"The log of stack '{self._engine.stack_name}' has ended.")
            except StackError as error:
                self._lost(str(error))
            await asyncio.sleep(_RETRY)

    async def _read(self) -> None:
        known = {source: set(texts) for source, texts in self._known().items()}
        count = 0
        async for line in self._engine.logs(None, follow=True, tail=_TAIL):
            count += 1
            if not count % _BREATH:
                await asyncio.sleep(0)
            if line.source in known:
                if line.text in known[line.source]:
                    continue
                del known[line.source]  # from here on the part's lines are new
            self._away = False
            self._take(line)

    def _lost(self, sentence: str) -> None:
        if not self._away:
            self._note(f"{sentence} Looking for it again every second.")
        self._away = True

    def _note(self, sentence: str) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        text = f"{stamp},{int(now % 1 * 1000):03} WARNING {sentence}"
        self._take(LogLine(source=OWN, text=text))

    def _take(self, line: LogLine) -> None:
        self._skipped += len(self._pending) == self._pending.maxlen
        self._pending.append(line)

    def take(self, most: int) -> list[LogLine]:
        """Return the next lines, merged by their times; at most so many."""
        if self._skipped:
            skipped, self._skipped = self._skipped, 0
            self._note(f"{skipped:,} lines were left out: they came faster than they are shown.")
        count = min(most, len(self._pending))
        return by_time([self._pending.popleft() for _ in range(count)])
