"""Two or more runs side by side: what was configured differently, then the figures. Pure."""

from collections.abc import Sequence

from loadtest.comparison.configuration import configuration_rows, same_clips, warnings
from loadtest.comparison.intervals import replicates
from loadtest.comparison.metrics import Pair, described_rows, judged_rows
from loadtest.comparison.model import Comparison, Method
from loadtest.runfile import Run


def compare(runs: Sequence[Run]) -> Comparison:
    """Hold runs against the first of them; raises ValueError for fewer than two.

    It computes: up to seconds with a thousand clients.
    """
    if len(runs) < 2:
        raise ValueError("a comparison needs at least two runs")
    first = runs[0]
    resampled = replicates(first, stream=0)
    pairs = []
    for other in runs[1:]:
        # A pair's difference is free of what its audio does to both: draw the same clients.
        paired = same_audio(first, other)
        drawn = replicates(other, stream=0 if paired else 1)
        pairs.append(Pair(first, other, resampled, drawn, paired))
    return Comparison(
        titles=[run.run_id for run in runs],
        configuration=configuration_rows(runs),
        metrics=[*judged_rows(runs, pairs), *described_rows(runs)],
        methods=[
            Method((len(first.clients), len(pair.other.clients)), pair.paired) for pair in pairs
        ],
        warnings=warnings(runs),
    )


def same_audio(first: Run, other: Run) -> bool:
    """Tell whether each client of one run sent what the same client of the other sent."""
    one, two = ({client.client_id: client for client in run.clients} for run in (first, other))
    return one.keys() == two.keys() and all(same_clips(one[i], two[i]) for i in one)
