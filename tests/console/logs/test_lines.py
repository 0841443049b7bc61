"""Lines of logs: cleaned, levelled, merged, bounded, filtered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.logs.filters import FilterError, parse_filter
from console.logs.lines import LONGEST, Level, LogBuffer, clean, level_of
from stack.log_order import by_time
from stack.status import LogLine


def line(source: str, text: str) -> LogLine:
    return LogLine(source=source, text=text)


def test_what_would_paint_over_the_screen_is_removed() -> None:
    assert clean("a\x1b[31mred\x1b[0m\x07 \x1b]0;title\x07b\rc\u202ed\x9b31m") == "ared bcd31m"
    assert clean("a\tb") == "a   b"
    assert len(clean("x" * 10_000_000)) == LONGEST


@given(st.text())
def test_a_cleaned_line_is_printable(text: str) -> None:
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in clean(text))


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("2026-11-21 20:34:56,302 INFO replica-1: Starting.", Level.PLAIN),
        ("2026-11-21 20:34:56,302 WARNING Slow.", Level.WARNING),
        ("2026-11-21 20:34:56,302 ERROR No.", Level.ERROR),
        ("2026-11-21 20:34:56,302 CRITICAL No.", Level.ERROR),
        ("2026/11/21 20:34:57 [warn] 7#7: conflicting name", Level.WARNING),
        ("2026/11/21 20:34:57 [emerg] 7#7: host not found", Level.ERROR),
        ("INFO that an ERROR was counted", Level.PLAIN),
        ("no level at all, whatever the error", None),
    ],
)
def test_levels_are_recognised(text: str, level: Level | None) -> None:
    assert level_of(text) is level


def test_a_traceback_belongs_to_its_error_and_is_counted_once() -> None:
    buffer = LogBuffer()
    entries = buffer.add(
        [
            line("a", "2026-11-21 20:34:56,302 ERROR Failed."),
            line("a", "Traceback (most recent call last):"),
            line("a", '  File "x.py", line 1'),
            line("b", "  of another part"),
            line("a", "2026-11-21 20:34:57,302 INFO On."),
            line("a", "plain"),
        ]
    )
    levels = [entry.level for entry in entries]
    assert levels == [Level.ERROR] * 3 + [Level.PLAIN] * 3
    assert buffer.troubles == {"a": 1}


def test_parts_are_merged_by_time_and_tracebacks_stay_together() -> None:
    merged = by_time(
        [
            line("a", "2026-11-21 20:34:58,000 INFO third"),
            line("a", "Traceback"),
            line("a", "2026-11-21 20:34:57,000 INFO its clock went back"),
            line("b", "2026-11-21 20:34:56,000 INFO first"),
            line("b", "  more of the first"),
            line("b", "2026-11-21 20:34:57,500 INFO second"),
        ]
    )
    assert [one.text.split()[-1] for one in merged] == [
        *("first", "first", "second", "third", "Traceback", "back"),
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5))))
def test_merging_keeps_each_parts_order_and_loses_nothing(pairs: list[tuple[str, int]]) -> None:
    lines = [
        line(source, f"2026-11-21 20:34:{second:02} {number}" if second else f"{number}")
        for number, (source, second) in enumerate(pairs)
    ]
    merged = by_time(lines)
    for source in "abc":
        assert [one for one in merged if one.source == source] == [
            one for one in lines if one.source == source
        ]
    assert len(merged) == len(lines)


def test_a_loud_part_does_not_push_a_quiet_one_out() -> None:
    buffer = LogBuffer(most=5_000)
    buffer.add(line("quiet", f"{number}") for number in range(10))
    for _ in range(20):
        buffer.add(line("loud", f"{number}") for number in range(1_000))
    assert len(buffer.entries) <= 5_000
    assert [one.text for one in buffer.entries if one.source == "quiet"] == list(
        map(str, range(10))
    )
    assert buffer.entries[-1].text == "999"
    assert buffer.written == {"quiet": 10, "loud": 20_000}


def test_filters_are_plain_text_an_expression_or_without() -> None:
    text = "Session 12 of [red] took 3 ms"
    for typed, passes in (
        ("", True),
        ("!", True),
        ("~", True),
        ("session", True),
        ("[RED]", True),
        ("!session", False),
        ("!other", True),
        (r"~\d+ ms$", True),
        (r"!~\d+ ms$", False),
        ("~^took", False),
    ):
        assert parse_filter(typed).accepts(text) is passes, typed
    assert parse_filter(r"~\d+").marks(text) == [(8, 10), (25, 26)]
    assert parse_filter("!session").marks(text) == []
    assert parse_filter("~x*").marks(text) == []
    assert parse_filter("!~a.b").words == "lines without a match of a.b"


@pytest.mark.parametrize("typed", ["~(", "~[z-a]", "~(a+)+$", "!~(x|y*)*", "~a{99999999999}"])
def test_an_expression_that_cannot_be_used_is_a_sentence(typed: str) -> None:
    with pytest.raises(FilterError, match=r"^This .*\.$"):
        parse_filter(typed)
