"""Load on a server whose answers are known, through real generator processes and sockets."""

import asyncio
import errno
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from loadtest.calibration.sink import Sink, serving
from loadtest.controller import LoadController
from loadtest.events import (
    LoadEvent,
    SeriesFinished,
    SeriesStarted,
    StepFinished,
    StepProgress,
    StepStarted,
)
from loadtest.plan import LoadPlan
from loadtest.runfile import Failure, Outcome, Run, RunStatus
from loadtest.shards import LoadError
from loadtest.store import RunStore
from loadtest.target import LoadTarget, TargetFacts
from stack.protocol import AudioFormat
from stack.status import BalancerSample, MachineSample, ReplicaSample

Plans = Callable[..., LoadPlan]


async def play(plan: LoadPlan, target: LoadTarget | None = None) -> list[LoadEvent]:
    return [event async for event in LoadController(plan, target=target).run()]


async def one_run(plan: LoadPlan, target: LoadTarget | None = None) -> Run:
    (run,) = [event.run for event in await play(plan, target) if isinstance(event, StepFinished)]
    return run


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with serving(Sink(delay=0.25, step=0.5)) as server:
        yield server


async def test_the_injected_delay_is_what_is_reported(make_plan: Plans, sink: Sink) -> None:
    run = await one_run(make_plan(clients=(6,), port=sink.port, duration=4.0))
    assert run.status is RunStatus.COMPLETED
    assert run.summary.successful_clients == 6
    latency = run.summary.latency
    assert latency.count >= 36
    assert latency.min is not None
    assert latency.median is not None
    # Never less than what was injected. More only by what this machine adds: little at its best
    # moment, however busy it is otherwise; benchmarks/ measures how little.
    assert 0.25 <= latency.min < 0.30
    assert latency.median >= 0.25
    assert run.summary.final_latency.count == latency.count
    assert run.summary.finish.count == 6


async def test_audio_is_paced_in_real_time_and_sent_whole(make_plan: Plans, sink: Sink) -> None:
    run = await one_run(make_plan(port=sink.port, duration=3.0))
    (client,) = run.clients
    assert client.processing_time is not None
    assert client.processing_time >= client.audio_duration - 0.1
    assert client.audio_sent == client.audio_duration
    assert sink.received[client.uid] == round(client.audio_duration * 16_000) * 4
    assert client.uid in sink.ended
    assert client.slip.count == -(-round(client.audio_duration * 1000) // 100)


async def test_int16_is_half_the_bytes(make_plan: Plans, sink: Sink) -> None:
    plan = make_plan(port=sink.port, audio_format=AudioFormat.INT16)
    (client,) = (await one_run(plan)).clients
    assert sink.received[client.uid] == round(client.audio_duration * 16_000) * 2


async def test_events_of_a_series_and_its_files(make_plan: Plans, sink: Sink) -> None:
    class Target:
        async def describe(self) -> TargetFacts:
            return TargetFacts(stack={"name": "default"}, environment={"cores": 2})

        async def stats(self) -> Mapping[str, ReplicaSample]:
            return {
                "replica-1": ReplicaSample(cpu=0.5, memory=1000, sessions=2),
                "replica-2": ReplicaSample(cpu=0.1, memory=3000, sessions=0),
            }

        async def machine(self) -> MachineSample:
            return MachineSample(cpu=0.25, cores=2, balancer_cpu=0.1)

    plan = make_plan(clients=(1, 2), port=sink.port, label="two steps")
    events = await play(plan, Target())
    assert isinstance(events[0], SeriesStarted)
    assert [e.clients for e in events if isinstance(e, StepStarted)] == [1, 2]
    assert isinstance(events[-1], SeriesFinished)
    assert not events[-1].stopped
    finished = [event for event in events if isinstance(event, StepFinished)]
    assert [event.path for event in finished] == list(events[-1].paths)
    progress = [event for event in events if isinstance(event, StepProgress)]
    assert all(event.row.replicas["replica-1"].sessions == 2 for event in progress[:-1])
    assert any(event.transcripts for event in progress)
    store = RunStore(plan.results_directory)
    for event in finished:
        assert store.load(event.run.run_id) == event.run
        assert event.path.name.startswith(
            f"run_{event.run.test_configuration.num_clients}_clients_"
        )
    assert not list(plan.results_directory.glob("*.journal"))
    run = finished[1].run
    assert run.label == "two steps"
    assert run.test_configuration.step == 2
    assert run.test_configuration.stack == {"name": "default"}
    assert run.environment == {"cores": 2}
    # The replica that got no session counts: 2 and 0 are twice the mean.
    assert run.summary.load_distribution.sessions == {"replica-1": 2, "replica-2": 0}
    assert run.summary.load_distribution.max_over_mean == 2.0
    assert run.summary.resources["replica-2"].memory_peak == 3000
    assert run.summary.generator_cpu is not None
    assert run.timeline[0].machine == MachineSample(cpu=0.25, cores=2, balancer_cpu=0.1)
    busy = [row.generator_cpu for row in run.timeline if row.generator_cpu is not None]
    assert busy
    assert all(0 <= share < 2 for share in busy)
    assert all(row.backlog is not None for row in run.timeline if row.sessions)
    assert [row.time for row in run.timeline] == sorted(row.time for row in run.timeline)


async def test_a_hanging_source_of_telemetry_does_not_stop_the_clock(
    make_plan: Plans, sink: Sink
) -> None:
    class Target:
        async def describe(self) -> TargetFacts:
            return TargetFacts()

        async def stats(self) -> Mapping[str, ReplicaSample]:
            await asyncio.Event().wait()
            raise AssertionError

        async def machine(self) -> MachineSample:
            return MachineSample(cpu=0.25)

    events = await play(make_plan(port=sink.port, duration=3.0), Target())
    rows = [event.row for event in events if isinstance(event, StepProgress)]
    assert len(rows) >= 3
    assert rows[0].time < 1.5
    # What hangs costs its own cells only.
    assert not any(row.replicas for row in rows)
    assert any(row.machine is not None and row.machine.cpu == 0.25 for row in rows)


async def test_what_ends_with_the_step_is_in_its_last_row(make_plan: Plans, sink: Sink) -> None:
    class Target:
        async def describe(self) -> TargetFacts:
            return TargetFacts()

        async def stats(self) -> Mapping[str, ReplicaSample]:
            # What was asked before the end comes after it, and is old then.
            ended = len(sink.ended)
            await asyncio.sleep(0.3)
            return {"replica-1": ReplicaSample(rejected_total=ended)}

        async def machine(self) -> MachineSample:
            return MachineSample(balancer=BalancerSample(answers_total={"101": len(sink.ended)}))

    # Whole seconds and others: the last row may come right after the one before.
    for duration in (2.0, 2.5):
        sink.ended.clear()
        run = await one_run(make_plan(clients=(2,), port=sink.port, duration=duration), Target())
        last = run.timeline[-1]
        assert last.machine is not None
        assert last.machine.balancer is not None
        assert last.machine.balancer.answers_total == {"101": 2}
        assert last.replicas["replica-1"].rejected_total == 2


@pytest.mark.parametrize(
    ("trouble", "failure"),
    [
        ({"refuse": "wait"}, Failure.WAIT),
        ({"refuse": "error"}, Failure.SERVER_ERROR),
        ({"refuse": "garbage"}, Failure.PROTOCOL),
        ({"refuse": "close"}, Failure.HANDSHAKE),
        ({"refuse": "never"}, Failure.TIMEOUT),
        ({"refuse": "silence"}, Failure.PROTOCOL),
        ({"disconnect_after": 1.0}, Failure.DISCONNECTED),
    ],
    ids=str,
)
async def test_every_trouble_has_its_reason(
    make_plan: Plans, trouble: dict[str, Any], failure: Failure
) -> None:
    async with serving(Sink(delay=0.05, **trouble)) as server:
        run = await one_run(make_plan(port=server.port, connect_timeout=1.5, duration=2.0))
    (client,) = run.clients
    assert client.failure is failure, client.errors
    assert client.outcome is Outcome.FAILED
    assert not client.success
    assert client.errors
    assert run.summary.failures == {failure.value: 1}
    assert run.summary.slo is not None
    assert not run.summary.slo.met


async def test_a_server_that_is_no_websocket_is_a_handshake_failure(make_plan: Plans) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(4096)
        if head:
            status = b"503 Service Unavailable" if b"/" in head else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\nfull")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        run = await one_run(make_plan(port=server.sockets[0].getsockname()[1]))
    assert run.clients[0].failure is Failure.REFUSED
    assert "503" in run.clients[0].errors[0]


async def test_words_lost_by_a_broken_session_count(make_plan: Plans) -> None:
    async with serving(Sink(delay=0.05, disconnect_after=1.0)) as server:
        run = await one_run(make_plan(port=server.port, duration=2.0))
    assert run.summary.wer is not None
    assert run.summary.wer.wer > 0
    async with serving(Sink(refuse="wait")) as server:
        run = await one_run(make_plan(port=server.port, duration=2.0))
    assert run.summary.wer is None


async def test_a_server_without_flush_is_sent_the_end_only_after_quiet(make_plan: Plans) -> None:
    async with serving(Sink(delay=0.6, step=0.5, flush=False)) as server:
        run = await one_run(make_plan(port=server.port, duration=2.0, quiet=0.8))
    (client,) = run.clients
    assert client.success, client.errors
    # All answers came before the end was sent: nothing was cut off.
    assert client.transcript.split()[-1] == f"word{int(client.audio_duration / 0.5)}"
    assert client.processing_time is not None
    assert client.processing_time >= client.audio_duration + 0.6


async def test_stopping_keeps_what_was_measured(make_plan: Plans, sink: Sink) -> None:
    plan = make_plan(clients=(2, 3), port=sink.port, duration=60.0)
    controller = LoadController(plan)
    runs: list[Run] = []
    async for event in controller.run():
        if isinstance(event, StepProgress) and event.elapsed > 1.5:
            controller.stop()
        if isinstance(event, StepFinished):
            runs.append(event.run)
        if isinstance(event, SeriesFinished):
            assert event.stopped
    (run,) = runs
    assert run.status is RunStatus.STOPPED
    assert run.summary.incomplete_clients == 2
    assert run.summary.failed_clients == 0
    assert run.summary.latency.count >= 2
    assert 0 < run.summary.audio_sent < 20
    assert run.summary.total_duration < 15


async def test_stopping_after_the_step_lets_it_end(make_plan: Plans, sink: Sink) -> None:
    controller = LoadController(make_plan(clients=(1, 2), port=sink.port))
    controller.stop(after_step=True)
    runs = [event.run async for event in controller.run() if isinstance(event, StepFinished)]
    assert [run.status for run in runs] == [RunStatus.COMPLETED]


async def test_nobody_listening_is_said_before_anything_is_started(make_plan: Plans) -> None:
    plan = make_plan(port=1)
    with pytest.raises(LoadError, match=r"Nobody listens on 127\.0\.0\.1:1 .*whisperctl up"):
        await play(plan)
    assert not plan.results_directory.exists()


async def test_results_that_cannot_be_written_are_said_at_once(
    make_plan: Plans, sink: Sink, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(LoadError, match="results-dir"):
        await play(make_plan(port=sink.port, results_directory=in_the_way / "results"))


async def test_a_full_disk_is_a_sentence_and_the_journal_stays(
    make_plan: Plans, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(port=sink.port)

    def fail(store: RunStore, run: Run) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    shown: list[LoadEvent] = []

    async def watch() -> None:
        async for event in LoadController(plan).run():
            shown.append(event)  # noqa: PERF401 - what came before the error counts, too

    with monkeypatch.context() as broken:
        broken.setattr(RunStore, "save", fail)
        with pytest.raises(LoadError, match="No space left on device"):
            await watch()
    finished = shown[-1]
    assert isinstance(finished, StepFinished)
    assert finished.path is None
    assert finished.run.summary.successful_clients == 1
    (path,) = RunStore(plan.results_directory).recover()
    assert RunStore(plan.results_directory).load(path.name).summary.successful_clients == 1


def _children() -> list[int]:
    import psutil  # noqa: PLC0415

    return [
        child.pid
        for child in psutil.Process().children(recursive=True)
        if "loadtest.generator" in " ".join(child.cmdline())
    ]


async def test_a_generator_that_dies_leaves_its_journal(make_plan: Plans, sink: Sink) -> None:
    plan = make_plan(clients=(2,), port=sink.port, duration=30.0)

    async def play_and_kill() -> None:
        async for event in LoadController(plan).run():
            if isinstance(event, StepProgress) and event.elapsed > 1.5:
                for pid in _children():
                    os.kill(pid, signal.SIGKILL)

    with pytest.raises(LoadError, match="ended early"):
        await play_and_kill()
    assert not _children()
    (path,) = RunStore(plan.results_directory).recover()
    run = RunStore(plan.results_directory).load(path.name)
    assert run.status is RunStatus.INTERRUPTED
    assert run.summary.latency.count >= 2


async def test_abandoning_a_run_ends_its_processes(make_plan: Plans, sink: Sink) -> None:
    plan = make_plan(clients=(2,), port=sink.port, duration=30.0)
    events = LoadController(plan).run()
    async for event in events:
        if isinstance(event, StepProgress):
            break
    assert _children()
    await events.aclose()
    assert not _children()
    assert json.loads(next(plan.results_directory.glob("*.journal")).read_text().split("\n")[0])
