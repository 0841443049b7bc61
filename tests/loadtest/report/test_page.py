"""The page: whole, closed to the outside, private, the same each time, and never too large."""

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from support.pages import Page, described, plots, titles
from support.runs import client_result, example_run
from support.series import BEGIN, GIB, gpu_series, made_step

from loadtest.plan import Slo
from loadtest.report.by_clients import cumulated
from loadtest.report.over_time import course, replicas_shown
from loadtest.report.page import series_page
from loadtest.report.subject import subject
from loadtest.runfile import Failure, Outcome, Run, RunStatus
from stack.status import ReplicaSample

HOSTILE = "</title></svg><script>alert(\"1\")</script><img src=x onerror='y'>&\x00\x1b[31m\u202e"


# --- the whole ------------------------------------------------------------------------------------


def test_the_answer_stands_first_and_all_plots_are_there() -> None:
    page = series_page(gpu_series())
    said = Page(page).said
    order = [
        "30 clients at once",
        "30 clients met the SLO",
        "24",
        "Broke first",
        "One replica. replica-2",
        "restart replica-2",
        "Steps",
        "Can the figures be trusted?",
        "Configuration",
        "Machine that the load came from",
        "What the figures mean",
    ]
    places = [said.index(part) for part in order]
    assert places == sorted(places)
    assert titles(page) == [
        "Latency by clients",
        "Word latency by clients",
        "Word error rate by clients",
        "Successful sessions by clients",
        "Distribution of latency",
        "Lateness of the generator by clients",
        *(f"{count} clients · ✓ met" for count in (5, 10, 20, 30)),
        "40 clients · ✗ missed",
        "Sessions served by each replica",
        "p95 latency of each replica",
        "CPU of each replica, cores",
        "Memory of each replica",
        "GPU utilisation of each replica",
        "GPU memory of each replica",
        "Open sessions of each replica",
        "Sessions that wait for inference",
        "CPU of the machine and who used it, cores",
    ]


def test_the_page_is_closed_to_the_outside() -> None:
    page = series_page(gpu_series(), with_texts=True)
    found = Page(page)
    assert {tag for tag, _ in found.tags}.isdisjoint({"script", "link", "img", "iframe", "base"})
    for _, attributes in found.tags:
        # Attributes of style are what the policy forbids: a browser would leave them out.
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert not {"href", "src", "xlink:href"} & set(attributes)
    assert "url(" not in page
    assert "@import" not in page
    policy = next(
        attributes["content"]
        for tag, attributes in found.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    style = re.search(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_every_plot_has_ids_of_its_own() -> None:
    found = Page(series_page(gpu_series()))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = [attributes["aria-labelledby"] for tag, attributes in found.tags if tag == "svg"]
    assert {name for label in labels for name in (label or "").split()} == set(ids)
    assert all(attributes.get("role") == "img" for tag, attributes in found.tags if tag == "svg")


def test_the_same_runs_make_the_same_page() -> None:
    runs = gpu_series()
    assert series_page(runs) == series_page(list(reversed(runs)))
    assert series_page(runs) == series_page(gpu_series())
    assert series_page(runs, headroom=0.5) != series_page(runs)


def test_runs_of_two_series_are_refused() -> None:
    other = made_step(3, 0.1)
    other.series_id = "series_y"
    with pytest.raises(ValueError, match="one series"):
        series_page([made_step(4, 0.1), other])


# --- what others wrote ----------------------------------------------------------------------------


def hostile_run() -> Run:
    run = made_step(4, 5.0, number=1, label=HOSTILE[:100])
    for client in run.clients[:2]:
        client.replica = HOSTILE
        client.audio_file = client.transcript = client.reference = HOSTILE
        client.outcome, client.failure, client.errors = (
            Outcome.FAILED,
            Failure.PROTOCOL,
            [HOSTILE * 50],
        )
    run.summary.failed_clients = 2
    run.summary.load_distribution.sessions = {HOSTILE: 2, "漢字" * 200: 2}
    run.environment = {
        "cpu": HOSTILE,
        HOSTILE: HOSTILE,
        "gpus": [{"name": HOSTILE, "memory": "much", "driver": HOSTILE}, HOSTILE],
        "odd": [[], {}, None, 1.5],
        "whisperctl": HOSTILE,
        "broken": "\ud800",
    }
    run.test_configuration.host = HOSTILE
    run.test_configuration.audio_directory = f"/home/somebody/{HOSTILE}"
    for row in run.timeline:
        row.replicas = {
            HOSTILE: ReplicaSample(cpu=float("nan"), memory=10**400, sessions=-(10**30)),
            "fine": ReplicaSample(cpu=0.5, gpu_utilisation=float("inf")),
        }
    assert run.summary.slo is not None
    run.summary.slo.reasons = [HOSTILE]
    run.summary.stopped_because = HOSTILE
    run.status = RunStatus.STOPPED
    return run


@pytest.mark.parametrize("with_texts", [True, False])
def test_what_others_wrote_stays_text(with_texts: bool) -> None:
    page = series_page([made_step(2, 0.1), hostile_run()], with_texts=with_texts)
    found = Page(page)
    page.encode()
    assert plots(page)
    assert {tag for tag, _ in found.tags}.isdisjoint({"script", "img"})
    assert "alert(" in found.said
    assert not re.search(r"[\x00-\x08\x1b\u202e]", page)
    assert "nan" not in page.lower().replace("finance", "")
    # The path names people.
    assert "somebody" not in page
    assert len(page) < 400_000


def test_texts_are_private_unless_asked_for() -> None:
    run = made_step(2, 0.1)
    run.clients[0].transcript, run.clients[0].reference = "Secret words.", "Hidden words."
    run.clients[0].audio_file = "interview-with-somebody.wav"
    page = series_page([run])
    assert "Secret" not in page
    assert "Hidden" not in page
    assert "interview" not in page
    assert "are left out" in page
    shown = Page(series_page([run], with_texts=True)).said
    assert "Secret words." in shown
    assert "Hidden words." in shown
    assert "as private as the audio" in shown


def test_failed_sessions_come_with_what_was_said() -> None:
    said = Page(series_page([made_step(6, 0.1, failed=4)])).said
    assert "Failed sessions" in said
    assert "The server said: CUDA out of memory." in said
    assert "server error" in said
    assert "2 of 6" in said


# --- what is not known ----------------------------------------------------------------------------


def test_a_single_step() -> None:
    page = series_page([made_step(4, 0.1)])
    assert "4 clients or more at once" in page
    assert "p95: " in described(page, "Latency by clients")
    Page(page)


def test_no_telemetry_is_said_and_draws_nothing() -> None:
    run = example_run("run_1", results=[client_result(0, replica=None)], stack=None)
    page = series_page([run])
    said = Page(page).said
    assert "Latency over time, step by step Not known." in " ".join(said.split())
    assert "the server is none of our stacks" in said
    assert not any("replica" in title for title in titles(page))
    assert "GPU" not in "".join(titles(page))


def test_a_series_that_measured_nothing_is_still_a_page() -> None:
    results = [
        client_result(
            0,
            outcome=Outcome.FAILED,
            failure=Failure.REFUSED,
            latency_samples=[],
            connection_time=None,
            wer=None,
            replica=None,
        )
    ]
    run = example_run("run_1", results=results, status=RunStatus.INTERRUPTED, stack=None)
    for part in (run.summary.slip, run.clients[0].slip):
        part.count, part.p99, part.max, part.median, part.p95 = 0, None, None, None, None
    page = series_page([run])
    Page(page)
    assert "Nothing to judge" in page
    assert "Latency by clients" not in titles(page)
    assert "no message was timed" in page


def test_no_gpu_looks_like_none() -> None:
    assert not any("GPU" in title for title in titles(series_page([made_step(3, 0.1, gpu=False)])))


def test_a_card_that_is_shared_is_marked() -> None:
    run = made_step(3, 0.1)
    for row in run.timeline:
        row.replicas = {
            name: sample.model_copy(update={"gpu_shared": True})
            for name, sample in row.replicas.items()
        }
    assert "GPU memory of each replica (the whole card's, shared)" in titles(series_page([run]))


def test_missing_seconds_are_a_gap_in_every_plot() -> None:
    run = made_step(6, 0.1, missing=range(10, 20))
    points = course(run, lambda row: row.latency_p50)
    assert [value for time, value in points if 9 < time < 20 or value is None] == [None]
    svg = plots(series_page([run]))["CPU of each replica, cores"]
    lines = [one for one in svg.iter("path") if (one.get("class") or "").startswith("line")]
    assert [(one.get("d") or "").count("M") for one in lines[:3]] == [2, 2, 2]


def test_a_step_that_was_cut_off_stands_apart() -> None:
    runs = [made_step(4, 0.1), made_step(8, 0.2, number=1), made_step(16, 0.1, number=2)]
    runs[2].status = RunStatus.STOPPED
    page = series_page(runs)
    svg = plots(page)["Latency by clients"]
    assert len([one for one in svg.iter() if "open" in (one.get("class") or "")]) == 3
    words = described(page, "Latency by clients")
    assert re.search(r"^p95: [\d.]+ s at 4, [\d.]+ s at 8\.", words)
    assert re.search(r"p95, cut off: [\d.]+ s at 16\.", words)
    assert "Open marks" in page


def test_different_limits_draw_no_limit() -> None:
    runs = [made_step(4, 0.1), made_step(8, 0.2, number=1, slo=Slo(p95_latency=1.0))]
    page = series_page(runs)
    assert "Not the same in all steps" in page
    assert "SLO 1 s" not in page


def test_a_late_generator_is_the_first_thing_to_know() -> None:
    run = made_step(4, 5.0)
    run.summary.generator_distorted = True
    said = Page(series_page([run])).said
    assert "Not those of 4 clients: the load generator itself was late" in said
    assert "⚠" in said


def test_a_short_failing_step_is_shown_beside_the_best() -> None:
    runs = [made_step(4, 0.1), made_step(8, 5.0, number=1, seconds=1)]
    said = Page(series_page(runs)).said
    assert "Inside the step with 8 clients · ✗ missed" in said
    assert "too short to be shown second by second" in said
    assert "Inside the step with 4 clients · ✓ met" in said


# --- much of it -----------------------------------------------------------------------------------


def large_series() -> Iterator[Run]:
    for number in range(50):
        last = number == 49
        yield made_step(
            number + 1,
            0.1 + 0.01 * number,
            number=number,
            replicas=64 if last else 2,
            seconds=600 if last else 40,
            samples=100,
        )


def test_fifty_steps_and_sixty_four_replicas_stay_small_and_readable() -> None:
    runs = list(large_series())
    runs[-1].clients[0].latency_samples[0] = 77.0
    page = series_page(runs)
    Page(page)
    assert len(page) < 1_500_000
    assert len([title for title in titles(page) if "·" in title]) == 50
    # The one outlier of thousands of samples is there.
    assert "77.00 s" in described(page, "Distribution of latency")
    svg = plots(page)["CPU of each replica, cores"]
    names = [one.text or "" for one in svg.iter("text") if one.get("class") == "name"]
    assert len(names) <= 6
    assert any("others" in name for name in names)


def test_the_replica_that_broke_is_told_apart_among_many() -> None:
    fine = made_step(64, 0.2, replicas=64)
    broken = made_step(128, 1.0, number=1, replicas=64, slow={"replica-40": 6.0})
    about = subject([fine, broken])
    assert about.analysis.bottleneck is not None
    assert about.analysis.bottleneck.replica == "replica-40"
    shown, others = replicas_shown(about, 1)
    assert "replica-40" in shown
    assert len(shown) + len(others) == 64
    assert "← broke first" in series_page([fine, broken])


def test_a_long_step_keeps_its_extremes() -> None:
    run = made_step(4, 0.1, seconds=5000)
    run.timeline[3210].latency_p95 = 1.9
    page = series_page([run])
    assert len(page) < 400_000
    svg = plots(page)["4 clients · ✓ met"]
    line = next(one for one in svg.iter("path") if "s0" in (one.get("class") or ""))
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", line.get("d") or "")]
    limit = next(one for one in svg.iter("path") if one.get("class") == "limit")
    top = float(re.findall(r"M[\d.]+ ([\d.]+)", limit.get("d") or "")[0])
    # 1.9 of 2.0 s: a twentieth below the limit, far above the rest.
    assert top < min(heights) < top + 12
    assert sorted(heights)[1] > top + 60


def test_a_distribution_keeps_its_ends() -> None:
    samples = [0.001 * place for place in range(5000)]
    points = cumulated(samples)
    assert len(points) <= 1001
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (pytest.approx(4.999), 1.0)
    assert all(share == pytest.approx((value + 0.001) / 5, abs=2e-3) for value, share in points[1:])
    assert cumulated([]) == []
    assert cumulated([2.0]) == [(2.0, 0.0), (2.0, 1.0)]


def test_a_count_that_was_played_twice_is_named_twice() -> None:
    runs = [made_step(4, 0.1), made_step(4, 0.2, number=1, created=BEGIN + timedelta(hours=1))]
    found = titles(series_page(runs))
    assert "4 clients · ✓ met" in found
    assert "4 clients (2) · ✓ met" in found


def test_memory_is_written_in_what_suits_it() -> None:
    run = made_step(3, 0.1)
    assert run.timeline[0].replicas["replica-1"].gpu_memory == 4 * GIB
    svg = plots(series_page([run]))["GPU memory of each replica"]
    assert any("GiB" in (one.text or "") for one in svg.iter("text"))
