"""What the command palette offers about the charts."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from console.rendering.live_charts import BY_NAME, WINDOWS

if TYPE_CHECKING:
    from console.screens.dashboard import DashboardScreen

_SPANS = {"1 min": "the last minute", "5 min": "the last 5 minutes", "run": "the whole run"}


class ChartCommands(Provider):
    """Choosing, spanning and enlarging charts."""

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        # Only the dashboard offers this provider.
        screen = cast("DashboardScreen", self.screen)
        yield "Choose the charts", "Which ones, and in what order", screen.action_choose_charts
        for window in WINDOWS:
            yield (
                f"Charts of {_SPANS[window]}",
                "How far back the charts go",
                partial(screen.action_show_window, window),
            )
        for name in screen.charts.shown:
            yield (
                f"Maximise {BY_NAME[name].label}",
                "This chart alone, and back",
                partial(screen.maximise_chart, name),
            )

    async def discover(self) -> Hits:
        """Offer everything."""
        for title, text, command in self._commands():
            yield DiscoveryHit(title, command, help=text)

    async def search(self, query: str) -> Hits:
        """Offer what matches."""
        matcher = self.matcher(query)
        for title, text, command in self._commands():
            if (score := matcher.match(title)) > 0:
                yield Hit(score, matcher.highlight(title), command, help=text)
