"""The keys of the screen that is shown, as commands of the palette."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider


class ScreenActions(Provider):
    """Offers every key of the screen that says what it does."""

    def _commands(self) -> Iterator[Binding]:
        seen: set[str] = set()
        for binding in self.screen._bindings.key_to_bindings.values():
            for one in binding:
                if one.tooltip and one.description and one.action not in seen:
                    seen.add(one.action)
                    yield one

    async def discover(self) -> Hits:
        """Yield all of them."""
        async for hit in self._hits(""):
            if isinstance(hit, DiscoveryHit):
                yield hit

    async def search(self, query: str) -> Hits:
        """Yield those whose words match."""
        async for hit in self._hits(query):
            if isinstance(hit, Hit):
                yield hit

    async def _hits(self, query: str) -> AsyncIterator[Hit | DiscoveryHit]:
        matcher = self.matcher(query)
        for one in self._commands():
            title = f"{one.description}: {one.tooltip}"
            run = partial(self.screen.run_action, one.action)
            key = f"Key {self.app.get_key_display(one)}"
            if not query:
                yield DiscoveryHit(title, run, help=key)
            elif (score := matcher.match(title)) > 0:
                yield Hit(score, matcher.highlight(title), run, help=key)
