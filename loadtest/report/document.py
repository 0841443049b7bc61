"""What every page is made in: a document that loads nothing and runs no script. Pure."""

import base64
import hashlib
from collections.abc import Iterable, Iterator

from loadtest.report.markup import Markup, tag
from loadtest.report.style import STYLE
from loadtest.report.svg import Bars, Plot, drawn, drawn_bars


def document(title: str, body: Markup) -> str:
    """Return a whole HTML document."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy()),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', body), lang='en')}\n"


def _policy() -> str:
    """Allow this page's own style and nothing else."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def figures(
    plots: Iterable[Plot | Bars], identities: Iterator[str], *, small: bool = False
) -> Markup:
    """Draw plots beside each other; ``identities`` gives each the beginning of its ids."""
    shown = [
        tag(
            "figure",
            tag("figcaption", plot.title, *([tag("span", plot.note)] if plot.note else [])),
            drawn(plot, next(identities))
            if isinstance(plot, Plot)
            else drawn_bars(plot, next(identities)),
        )
        for plot in plots
    ]
    return tag("div", *shown, class_="plots small" if small else "plots")
