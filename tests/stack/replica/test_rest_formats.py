"""Answers of the file endpoint from segments that no model gives on demand."""

import json

from stack.protocol import Segment
from stack.replica.rest_formats import ResponseFormat, Transcription, render


def found(*segments: tuple[float, float, str], language: str | None = "de") -> Transcription:
    made = [Segment(start=start, end=end, text=text) for start, end, text in segments]
    return Transcription(segments=made, language=language, duration=made[-1].end if made else 0.0)


def test_times_have_hours_and_their_own_marks():
    long = found((3599.9996, 7325.5, " late"))
    assert "01:00:00,000 --> 02:02:05,500\n" in render(long, ResponseFormat.SRT)
    assert "01:00:00.000 --> 02:02:05.500\n" in render(long, ResponseFormat.VTT)


def test_no_cue_ends_when_it_begins():
    assert "00:00:01,000 --> 00:00:01,001" in render(found((1, 1, " oh")), ResponseFormat.SRT)


def test_text_can_break_no_cue():
    odd = found((0, 1, " a --> b\n\n2\n<i>R&D"), (1, 2, " end"))
    assert render(odd, ResponseFormat.VTT).split("\n\n") == [
        "WEBVTT",
        "00:00:00.000 --> 00:00:01.000\na → b 2 &lt;i>R&amp;D",
        "00:00:01.000 --> 00:00:02.000\nend\n",
    ]
    assert render(odd, ResponseFormat.SRT).startswith(
        "1\n00:00:00,000 --> 00:00:01,000\na → b 2 <i>R&D\n\n2\n00:00:01"
    )


def test_languages_by_their_names():
    def named(language: str | None) -> str:
        answer = render(found(language=language), ResponseFormat.VERBOSE_JSON)
        return json.loads(answer)["language"]

    assert [named("de"), named("xx"), named(None)] == ["german", "xx", "unknown"]


def test_nothing_said():
    assert render(found(), ResponseFormat.SRT) == ""
    assert render(found(), ResponseFormat.VTT) == "WEBVTT\n"
    assert render(found(), ResponseFormat.JSON) == '{"text": ""}'
