"""Plans as they are typed, and as they are kept."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from console.planning import GROUPS, Values, group_summary, plan_values, read_draft
from console.saved_plans import PlanError, PlanStore, name_problem, plans_directory
from loadtest.plan import DEFAULT_MAX_CLIENTS, LoadPlan, Slo


@pytest.fixture
def base(tmp_path: Path) -> LoadPlan:
    return LoadPlan(
        clients=(1, 2, 4),
        audio_directory=tmp_path / "clips",
        results_directory=tmp_path / "results",
        duration=20.0,
    )


@pytest.fixture
def full(base: LoadPlan) -> LoadPlan:
    """A plan in which every field of the form differs from the defaults."""
    return LoadPlan.model_validate(
        base.model_dump()
        | {
            "clients": (3, 5),
            "find_capacity": 77,
            "stop_early": True,
            "host": "speech.example",
            "port": 9443,
            "path": "/live",
            "tls": True,
            "api_key": SecretStr("secret"),
            "chunk": 0.0625,
            "ramp": 2.5,
            "gap": 1.5,
            "reconnect": True,
            "duration": 7.5,
            "cool_down": 0.0,
            "seed": -3,
            "label": "a [label]",
            "note": "a note",
            "language": None,
            "use_vad": False,
            "slo": Slo(p95_latency=None, success_rate=0.993, wer_over_baseline=0.0029),
        }
    )


def test_what_is_shown_reads_back_as_the_same_plan(base: LoadPlan, full: LoadPlan) -> None:
    for plan in (base, full):
        elsewhere = plan is full
        draft = read_draft(plan_values(plan, elsewhere=elsewhere), base)
        assert draft.plan == plan
        assert draft.elsewhere is elsewhere


def test_an_address_that_is_taken_away_leads_back_to_the_stack(
    base: LoadPlan, full: LoadPlan
) -> None:
    values: Values = {**plan_values(full, elsewhere=True), "url": ""}
    draft = read_draft(values, base)
    assert draft.plan is not None
    assert (draft.plan.host, draft.plan.tls, draft.plan.path) == (base.host, False, "/")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("clients", ""),
        ("clients", "0"),
        ("clients", "100001"),
        ("clients", ",".join(["1"] * 101)),
        ("duration", "nan"),
        ("duration", "0.05"),
        ("duration", "1e9"),
        ("p95", "0"),
        ("wer", "-1"),
        ("chunk", ""),
        ("chunk", "inf"),
        ("seed", ""),
        ("seed", "9" * 30),
        ("gap", "601"),
        ("pause", "x"),
        ("url", "127.0.0.1:9090"),
        ("url", "ws://host:abc/"),
        ("url", "ws://host/?key=1"),
        ("label", "x" * 201),
        ("note", "x" * 2001),
        ("language", ""),
    ],
)
def test_each_wrong_field_bears_its_own_sentence(base: LoadPlan, name: str, text: str) -> None:
    draft = read_draft({**plan_values(base, elsewhere=False), name: text}, base)
    assert draft.plan is None
    assert list(draft.problems) == [name]
    assert draft.problems[name].endswith(".")


def test_a_search_has_an_upper_bound_of_its_own(base: LoadPlan) -> None:
    values: dict[str, str | bool] = {**plan_values(base, elsewhere=False), "find": True}
    draft = read_draft(values, base)
    assert draft.plan is not None
    assert draft.plan.find_capacity == DEFAULT_MAX_CLIENTS
    # What stands there counts only where a search is asked for.
    assert read_draft({**values, "find": False, "most": "x"}, base).plan is not None
    assert list(read_draft({**values, "most": "0"}, base).problems) == ["most"]


def test_folded_groups_say_what_they_hold(full: LoadPlan, base: LoadPlan) -> None:
    limits, pace, server = GROUPS[1:]
    values = plan_values(full, elsewhere=True)
    assert group_summary(limits, values) == "success 99.3 %, WER +0.29 %, stop early"
    assert "62.5 ms messages, ramp 2.5 s, gaps 1.5 s, seed -3, reconnect" in group_summary(
        pace, values
    )
    said = group_summary(server, values)
    assert said == "wss://speech.example:9443/live, with a key, auto, no voice detection"
    assert "secret" not in said


def test_a_kept_plan_comes_back_without_its_secret(
    tmp_path: Path, base: LoadPlan, full: LoadPlan
) -> None:
    store = PlanStore(tmp_path / "plans", base)
    store.save("elsewhere", full, elsewhere=True)
    store.save("here", full, elsewhere=False)
    elsewhere, here = store.entries()
    assert elsewhere.elsewhere
    assert elsewhere.plan == full.model_copy(update={"api_key": None})
    assert not here.elsewhere
    assert here.plan is not None
    assert (here.plan.host, here.plan.clients) == (base.host, full.clients)
    for path in store.directory.iterdir():
        assert "secret" not in path.read_text()
        assert path.stat().st_mode & 0o077 == 0
    store.delete("here")
    assert [entry.name for entry in store.entries()] == ["elsewhere"]
    with pytest.raises(PlanError, match="can't be deleted"):
        store.delete("here")


def test_broken_plans_are_listed_with_what_is_wrong(tmp_path: Path, base: LoadPlan) -> None:
    store = PlanStore(tmp_path / "plans", base)
    assert store.entries() == []
    store.save("good", base, elsewhere=False)
    good = json.loads((store.directory / "good.json").read_text())
    bad = good["plan"] | {"clients": []}
    for name, text in {
        "torn": "{",
        "list": "[]",
        "deep": "[" * 60_000,
        "long": " " * 70_000,
        "later": json.dumps(good | {"schema": 2}),
        "wrong": json.dumps(good | {"plan": bad}),
        "foreign": json.dumps(good | {"plan": {"more": 1}}),
    }.items():
        (store.directory / f"{name}.json").write_text(text)
    entries = {entry.name: entry for entry in store.entries()}
    assert entries.pop("good").plan == base
    assert len(entries) == 7
    for entry in entries.values():
        assert entry.plan is None
        assert entry.problem.endswith(".")
    assert "clients" in entries["wrong"].problem


@pytest.mark.parametrize(
    "name", ["", " ", "../up", "a/b", ".hidden", "x" * 41, "end ", "end.", "a\nb", "ü"]
)
def test_names_that_no_plan_can_have(tmp_path: Path, base: LoadPlan, name: str) -> None:
    assert name_problem(name)
    store = PlanStore(tmp_path / "plans", base)
    with pytest.raises(PlanError, match="A name has"):
        store.save(name, base, elsewhere=False)
    assert not store.directory.exists()


def test_nothing_outside_the_directory_is_deleted(tmp_path: Path, base: LoadPlan) -> None:
    (tmp_path / "other.json").write_text("{}")
    store = PlanStore(tmp_path / "plans", base)
    with pytest.raises(PlanError, match="no saved plan"):
        store.delete("../other")
    assert (tmp_path / "other.json").exists()


def test_a_directory_that_cant_be_written_is_a_sentence(tmp_path: Path, base: LoadPlan) -> None:
    (tmp_path / "plans").write_text("a file")
    with pytest.raises(PlanError, match="can't be saved in"):
        PlanStore(tmp_path / "plans", base).save("name", base, elsewhere=False)


def test_the_directory_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPERCTL_CONFIG_DIR", str(tmp_path))
    assert plans_directory() == tmp_path / "plans"
