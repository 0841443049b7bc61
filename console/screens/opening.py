"""From files to the screens that show them; files are read and judged beside the console."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from console.screens.analysis import AnalysisScreen
from console.screens.compare import CompareScreen
from loadtest.analysis.series import analyse
from loadtest.entries import RunEntry
from loadtest.runfile import Run
from loadtest.store import RunStore, read_run


async def comparison(marked: Sequence[RunEntry], known: Sequence[RunEntry]) -> CompareScreen:
    """Return the comparison of the marked runs, in their order; raises RunFileError.

    Where whole series are marked, of those that are ``known``, the series are compared.
    """
    series: dict[str | None, list[RunEntry]] = {}
    for entry in marked:
        series.setdefault(entry.series_id, []).append(entry)
    sizes = Counter(entry.series_id for entry in known)
    whole = all(len(found) == sizes[name] for name, found in series.items())
    as_series = whole and len(marked) > len(series) > 1
    groups = list(series.values()) if as_series else [[entry] for entry in marked]

    def load() -> list[list[Run]]:
        return [
            sorted((read_run(entry.path) for entry in entries), key=lambda run: run.created_at)
            for entries in groups
        ]

    runs = await asyncio.to_thread(load)
    return CompareScreen(series=runs) if as_series else CompareScreen([one for (one,) in runs])


async def analysis(store: RunStore, series: str) -> AnalysisScreen:
    """Return the analysis of a series; raises RunFileError."""
    runs = await asyncio.to_thread(store.load_series, series)
    found = await asyncio.to_thread(analyse, runs)
    return AnalysisScreen(found, runs[0].test_configuration.slo.p95_latency, runs=runs)
