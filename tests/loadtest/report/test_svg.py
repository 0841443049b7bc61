"""Plots as SVG: whole, named, escaped, with gaps where nothing is known."""

import re
from xml.etree import ElementTree as ET

import pytest

from loadtest.figures import Unit
from loadtest.report.markup import Markup, number, tag, text
from loadtest.report.scale import axis, time_axis
from loadtest.report.svg import STYLES, Band, Bar, Bars, Line, Mark, Plot, drawn, drawn_bars

HOSTILE = '</title></svg><script>alert("1")</script>&\'\x00\x1b\u202e\ud800'


def plot(*lines: Line, **values: object) -> Plot:
    """A plot of lines over ten seconds."""
    defaults: dict[str, object] = {
        "title": "Latency",
        "description": "What it shows.",
        "across": time_axis(10),
        "unit": Unit.SECONDS,
        "lines": lines,
    }
    return Plot(**(defaults | values))  # type: ignore[arg-type]


def parsed(markup: str) -> ET.Element:
    return ET.fromstring(markup)  # noqa: S314 - our own


def paths(svg: ET.Element, kind: str) -> list[ET.Element]:
    return [one for one in svg.iter("path") if kind in (one.get("class") or "").split()]


def words(svg: ET.Element) -> list[str]:
    return [one.text or "" for one in svg.iter("text")]


# --- markup ---------------------------------------------------------------------------------------


def test_what_is_no_markup_is_escaped() -> None:
    assert tag("p", "<b>", Markup("<i></i>"), class_="a\"'<") == (
        '<p class="a&quot;&#x27;&lt;">&lt;b&gt;<i></i></p>'
    )
    assert tag("rect", x=1.04, y=-0.001, rx=None) == '<rect x="1" y="0"></rect>'
    assert tag("meta", http_equiv="x") == '<meta http-equiv="x">'


def test_what_would_disarrange_a_page_is_replaced() -> None:
    shown = text(HOSTILE)
    assert "<" not in shown
    assert shown.count("�") == 4
    shown.encode()
    assert text("a\tb\nc é 漢 😀") == "a\tb\nc é 漢 😀"


@pytest.mark.parametrize(("value", "shown"), [(1, "1"), (1.25, "1.2"), (-0.01, "0"), (10.0, "10")])
def test_coordinates_are_short(value: float, shown: str) -> None:
    assert number(value) == shown


# --- lines ----------------------------------------------------------------------------------------


def test_a_plot_says_what_it_is() -> None:
    svg = parsed(drawn(plot(Line("p95", [(0, 1.0), (5, 2.0)])), "plot-7"))
    assert svg.get("role") == "img"
    named = (svg.get("aria-labelledby") or "").split()
    assert {one.get("id"): one.text for one in svg if one.get("id")} == {
        named[0]: "Latency",
        named[1]: "What it shows.",
    }
    assert all(name.startswith("plot-7") for name in named)
    assert "p95" in words(svg)
    assert "2 s" in " ".join(words(svg)).replace(".0", "")


def test_hostile_names_stay_text() -> None:
    shape = plot(
        Line(HOSTILE, [(0, 1.0)]),
        title=HOSTILE,
        description=HOSTILE,
        bands=[Band(HOSTILE, [(0, 1.0)], [(0, 2.0)])],
        limit=Mark(1.0, HOSTILE),
        marks=[Mark(1.0, HOSTILE)],
        under=HOSTILE,
    )
    shown = drawn(shape, "plot-1")
    bars = drawn_bars(Bars(HOSTILE, HOSTILE, Unit.COUNT, [Bar(HOSTILE, 1.0, HOSTILE)]), "plot-2")
    for markup in (shown, bars):
        svg = parsed(markup)
        assert not list(svg.iter("script"))
        assert "<script" not in markup
        assert "\ud800" not in markup


def test_a_gap_breaks_the_line_and_a_lonely_second_is_a_mark() -> None:
    points = [(0.0, 1.0), (1.0, 1.0), (2.0, None), (3.0, 2.0), (4.0, None), (5.0, 1.0), (6.0, 1.0)]
    svg = parsed(drawn(plot(Line("p95", points)), "plot-1"))
    (line,) = [one for one in paths(svg, "s0") if "stroke-dasharray" not in one.attrib][:1]
    assert (line.get("d") or "").count("M") == 2
    assert len(list(svg.iter("circle"))) == 1
    # With marks at each point, too.
    svg = parsed(drawn(plot(Line("p95", points, markers=True)), "plot-1"))
    assert (paths(svg, "line")[0].get("d") or "").count("M") == 2
    assert len(list(svg.iter("circle"))) == 5 + 1


def test_nothing_known_is_no_line() -> None:
    svg = parsed(drawn(plot(Line("p95", [(0, None), (1, None)])), "plot-1"))
    # The sample beside the name, and nothing else.
    assert len(paths(svg, "line")) == 1
    assert not list(svg.iter("circle"))


def test_styles_differ_in_more_than_colour() -> None:
    lines = [Line(str(n), [(0, n), (5, n)], style=n, markers=True) for n in range(STYLES)]
    svg = parsed(drawn(plot(*lines), "plot-1"))
    drawn_lines = [one for one in paths(svg, "line") if "L" in (one.get("d") or "")]
    assert len({one.get("stroke-dasharray") for one in drawn_lines}) == STYLES
    shapes = {
        len((one.get("points") or "").split()) or one.tag: None
        for one in [*svg.iter("polygon"), *svg.iter("circle")]
    }
    assert len(shapes) >= 3


def test_everything_drawn_is_within_the_picture() -> None:
    many = [Line(f"replica-{n}", [(0, 5.0), (10, 5.0)], style=n) for n in range(14)]
    shape = plot(*many, limit=Mark(9.0, "SLO 9 s"), marks=[Mark(10.0, "capacity 10")], under="s")
    svg = parsed(drawn(shape, "plot-1"))
    width, height = shape.size
    for one in svg.iter("text"):
        assert 0 <= float(one.get("x") or 0) <= width
        assert 0 <= float(one.get("y") or 0) <= height
    for one in paths(svg, "line"):
        for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", one.get("d") or ""):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height
    names = [float(one.get("y") or 0) for one in svg.iter("text") if one.get("class") == "name"]
    assert len(names) == 14
    gaps = [other - one for one, other in zip(sorted(names), sorted(names)[1:], strict=False)]
    assert min(gaps) >= 12


def test_steps_of_a_distribution_have_no_slopes() -> None:
    line = Line("5 clients", [(1, 0.0), (1, 0.5), (2, 1.0)], steps=True)
    svg = parsed(drawn(plot(line, unit=Unit.FRACTION, up=axis([1.0], Unit.FRACTION)), "plot-1"))
    assert "L" not in (paths(svg, "line")[0].get("d") or "")


# --- bars -----------------------------------------------------------------------------------------


def test_an_unknown_bar_is_no_bar() -> None:
    bars = [Bar("a", 2.0, "2"), Bar("b", None, "–"), Bar("c", 0.0, "0", striking=True)]
    svg = parsed(drawn_bars(Bars("Sessions", "", Unit.COUNT, bars), "plot-1"))
    rects = list(svg.iter("rect"))
    assert [float(one.get("width") or -1) > 0 for one in rects] == [True, False]
    assert [name for name in words(svg) if name in "abc–"] == ["a", "b", "–", "c"]


def test_bars_share_a_scale_with_their_limit() -> None:
    bars = [Bar("a", 1.0, "1.000 s"), Bar("b", 3.0, "3.000 s")]
    svg = parsed(drawn_bars(Bars("Latency", "", Unit.SECONDS, bars, Mark(2.0, "SLO 2 s")), "p"))
    one, three = (float(rect.get("width") or 0) for rect in svg.iter("rect"))
    left = float(next(iter(svg.iter("rect"))).get("x") or 0)
    assert three == pytest.approx(3 * one, abs=0.2)
    limit = re.match(r"M([\d.]+) ", paths(svg, "limit")[0].get("d") or "")
    assert limit is not None
    assert float(limit[1]) - left == pytest.approx(2 * one, abs=0.2)
