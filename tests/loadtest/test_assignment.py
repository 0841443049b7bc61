"""Who plays what."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from loadtest.assignment import assign, total_duration
from loadtest.clips import usable_clips
from loadtest.plan import LoadPlan


def test_a_client_plays_the_same_in_every_step_of_a_seed(
    make_plan: Callable[..., LoadPlan], clips: Path
) -> None:
    usable, _ = usable_clips(clips)
    plan = make_plan(duration=7.0)
    few, many = assign(plan, 2, usable), assign(plan, 8, usable)
    assert [client.pieces for client in few] == [client.pieces for client in many[:2]]
    assert len({client.uid for client in many}) == 8
    other = assign(make_plan(duration=7.0, seed=2), 8, usable)
    assert [client.pieces for client in other] != [client.pieces for client in many]


def test_without_duration_each_client_plays_one_whole_clip(
    make_plan: Callable[..., LoadPlan], clips: Path
) -> None:
    usable, _ = usable_clips(clips)
    for client in assign(make_plan(), 10, usable):
        (piece,) = client.pieces
        assert piece.samples == next(c.samples for c in usable if c.path == piece.path)


@pytest.mark.parametrize("duration", [1.0, 2.5, 6.0, 9.0, 25.0])
def test_duration_is_filled_and_the_last_clip_cut_between_words(
    make_plan: Callable[..., LoadPlan], clips: Path, duration: float
) -> None:
    usable, _ = usable_clips(clips)
    for client in assign(make_plan(duration=duration), 6, usable):
        assert total_duration(client, 0.1) <= duration
        assert total_duration(client, 0.1) > duration - 1.7  # a word, a gap and a clip's silent end
        last = client.pieces[-1]
        clip = next(c for c in usable if c.path == last.path)
        if last.samples == clip.samples:
            continue
        assert clip.words is not None
        spoken = [word for word in clip.words if word.end <= last.samples / 16_000 + 1e-4]
        assert last.reference == " ".join(word.word for word in spoken)
        end = last.samples / 16_000
        assert not [
            word for word in clip.words if word.start < end - 1e-3 and word.end > end + 1e-3
        ]


def test_a_clip_without_word_times_is_never_cut(
    make_plan: Callable[..., LoadPlan], clips: Path
) -> None:
    for words in clips.glob("*.words.json"):
        words.unlink()
    usable, _ = usable_clips(clips)
    for client in assign(make_plan(duration=1.0), 6, usable):
        assert (
            total_duration(client, 0.1) == 2.0
        )  # the shortest clip whole: the rule's one exception
    for client in assign(make_plan(duration=8.0), 6, usable):
        assert total_duration(client, 0.1) <= 8.0


def test_ramp_spreads_the_starts(make_plan: Callable[..., LoadPlan], clips: Path) -> None:
    usable, _ = usable_clips(clips)
    starts = [client.start_after for client in assign(make_plan(ramp=10.0), 4, usable)]
    assert starts == [0.0, 2.5, 5.0, 7.5]
    together = [client.start_after for client in assign(make_plan(), 4, usable)]
    assert max(together) < 0.1


@pytest.mark.parametrize(
    "values",
    [{"clients": ()}, {"clients": (0,)}, {"chunk": 0.01234567}, {"port": 0}, {"duration": -1}],
)
def test_a_plan_refuses_what_makes_no_sense(
    make_plan: Callable[..., LoadPlan], values: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        make_plan(**values)


def test_a_plan_survives_json(make_plan: Callable[..., LoadPlan]) -> None:
    plan = make_plan(clients=(1, 2), duration=3.0)
    assert LoadPlan.model_validate(json.loads(plan.model_dump_json())) == plan
