"""``whisperctl rest``: how many files a second a server transcribes over HTTP."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from console.cli.common import (
    DEFAULT_RESULTS,
    INTERRUPTED,
    EngineOption,
    JsonOption,
    NameOption,
    ResultsOption,
    engine_for,
    out,
    print_json,
    run_async,
)
from console.cli.load_options import parse_clients
from console.cli.rest_bench import Bench, Result
from console.rest_render import rest_details, rest_list
from loadtest.rest.plan import MAX_CONCURRENCY, AnswerFormat
from loadtest.rest.scaling import measurable
from loadtest.rest.store import RestStore
from stack.spec import DEFAULT_STACK_NAME, KEY_VARIABLE
from test_audio import CLIPS_DIRECTORY

app = typer.Typer(
    help="Measure the REST endpoint: requests a second, latency, scaling.", no_args_is_help=True
)

_Requests = Annotated[
    int, typer.Option("--requests", min=1, help="Requests of a step; at least 4 a client.")
]
_Duration = Annotated[
    float | None,
    typer.Option("--duration", min=0.1, help="Seconds of a step, instead of --requests."),
]
_WarmUp = Annotated[
    int | None,
    typer.Option("--warm-up", min=0, help="Requests before a step that don't count; one a client."),
]
_Model = Annotated[str, typer.Option("--model", help="Name of the model to ask for.")]
_Language = Annotated[str, typer.Option("--language", help="Language code, or 'auto' to detect.")]
_Format = Annotated[AnswerFormat, typer.Option("--response-format", help="What to ask for.")]
_Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, help="Seconds that one request may take.")
]
_AudioDir = Annotated[
    Path, typer.Option("--audio-dir", help="Clips: 16 kHz mono WAV with reference texts.")
]
_Seed = Annotated[int, typer.Option("--seed", help="Same seed, same clips in the same order.")]
_Label = Annotated[str, typer.Option("--label", help="A name for this measurement.")]
_KeyFile = Annotated[
    Path | None,
    typer.Option("--api-key-file", help=f"File with the key; without it {KEY_VARIABLE}."),
]
_MaxConcurrency = Annotated[
    int, typer.Option("--max-concurrency", min=1, max=MAX_CONCURRENCY, help="Most clients to try.")
]
_MinSuccess = Annotated[
    float,
    typer.Option("--min-success", min=0, max=1, help="A step with fewer successes doesn't count."),
]
_Workers = Annotated[str, typer.Option("--workers", help="Counts of replicas, such as 1,2,3.")]
_Concurrency = Annotated[
    int,
    typer.Option("--concurrency", min=1, max=MAX_CONCURRENCY, help="Requests under way at once."),
]
_ReportArgument = Annotated[
    str, typer.Argument(metavar="[FILE|latest]", help="File, id, a beginning of it, or 'latest'.")
]


@app.command("single")
def _single(
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            help="Base URL as OpenAI's clients take it, such as http://127.0.0.1:9000/v1; "
            "without it the running stack's.",
        ),
    ] = None,
    max_concurrency: _MaxConcurrency = 64,
    min_success: _MinSuccess = 0.99,
    requests: _Requests = 100,
    duration: _Duration = None,
    warm_up: _WarmUp = None,
    model: _Model = "whisper-1",
    language: _Language = "en",
    response_format: _Format = AnswerFormat.JSON,
    timeout: _Timeout = 300.0,
    audio_dir: _AudioDir = CLIPS_DIRECTORY,
    seed: _Seed = 1,
    label: _Label = "",
    api_key_file: _KeyFile = None,
    results_dir: ResultsOption = DEFAULT_RESULTS,
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find a server's best concurrency and the most requests a second that it serves.

    Doubles the clients from 1 until two steps bring no more, or requests fail.
    """
    options = _options(
        requests, duration, warm_up, model, language, response_format, timeout, audio_dir, seed
    )
    bench = Bench(engine_for(name, engine), results_dir, api_key_file, options, label)
    single = bench.single(url, max_concurrency, min_success, as_json=as_json)
    _end([run_async(single)], as_json=as_json)


@app.command("scaling")
def _scaling(
    workers: _Workers = "1,2,3",
    concurrency: _Concurrency = 4,
    requests: _Requests = 100,
    duration: _Duration = None,
    warm_up: _WarmUp = None,
    model: _Model = "whisper-1",
    language: _Language = "en",
    response_format: _Format = AnswerFormat.JSON,
    timeout: _Timeout = 300.0,
    audio_dir: _AudioDir = CLIPS_DIRECTORY,
    seed: _Seed = 1,
    label: _Label = "",
    api_key_file: _KeyFile = None,
    results_dir: ResultsOption = DEFAULT_RESULTS,
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Scale the running stack, measure each count of replicas, put the former count back."""
    counts = parse_clients(workers, option="--workers")
    options = _options(
        requests, duration, warm_up, model, language, response_format, timeout, audio_dir, seed
    )
    bench = Bench(engine_for(name, engine), results_dir, api_key_file, options, label)
    _end([run_async(bench.scaling(counts, concurrency, as_json=as_json))], as_json=as_json)


@app.command("all")
def _all(
    workers: _Workers = "1,2,3",
    concurrency: _Concurrency = 4,
    max_concurrency: _MaxConcurrency = 64,
    min_success: _MinSuccess = 0.99,
    requests: _Requests = 100,
    duration: _Duration = None,
    warm_up: _WarmUp = None,
    model: _Model = "whisper-1",
    language: _Language = "en",
    response_format: _Format = AnswerFormat.JSON,
    timeout: _Timeout = 300.0,
    audio_dir: _AudioDir = CLIPS_DIRECTORY,
    seed: _Seed = 1,
    label: _Label = "",
    api_key_file: _KeyFile = None,
    results_dir: ResultsOption = DEFAULT_RESULTS,
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do both on the running stack: 'single' as it stands, then 'scaling'."""
    counts = parse_clients(workers, option="--workers")
    options = _options(
        requests, duration, warm_up, model, language, response_format, timeout, audio_dir, seed
    )
    bench = Bench(engine_for(name, engine), results_dir, api_key_file, options, label)

    async def both() -> list[Result]:
        # What would stop the second part should not wait for the first.
        measurable(await bench.engine.status())
        first = await bench.single(None, max_concurrency, min_success, as_json=as_json)
        if first.stopped:
            return [first]
        return [first, await bench.scaling(counts, concurrency, as_json=as_json)]

    _end(run_async(both()), as_json=as_json)


@app.command("list")
def _list(results_dir: ResultsOption = DEFAULT_RESULTS, as_json: JsonOption = False) -> None:
    """List saved REST measurements, newest first."""
    entries = RestStore(results_dir).entries()
    if as_json:
        print_json(
            [
                {
                    "path": str(entry.path),
                    "problem": entry.problem,
                    **(
                        entry.report.model_dump(mode="json", by_alias=True, exclude={"steps"})
                        if entry.report
                        else {}
                    ),
                }
                for entry in entries
            ]
        )
        return
    if not entries:
        typer.echo(
            f"There is no REST measurement in {RestStore(results_dir).directory} yet; "
            "'whisperctl rest single' makes one."
        )
        return
    out().print(rest_list(entries))


@app.command("show")
def _show(
    report: _ReportArgument = "latest",
    results_dir: ResultsOption = DEFAULT_RESULTS,
    as_json: JsonOption = False,
) -> None:
    """Show a saved REST measurement."""
    _, found = RestStore(results_dir).load(report)
    if as_json:
        typer.echo(found.model_dump_json(by_alias=True, indent=1))
        return
    out().print(rest_details(found))


def _options(
    requests: int,
    duration: float | None,
    warm_up: int | None,
    model: str,
    language: str,
    response_format: AnswerFormat,
    timeout: float,
    audio_dir: Path,
    seed: int,
) -> dict[str, Any]:
    return {
        "requests": requests,
        "duration": duration,
        "warm_up": warm_up,
        "model": model,
        "language": None if language == "auto" else language,
        "response_format": response_format,
        "timeout": timeout,
        "audio_directory": audio_dir,
        "seed": seed,
    }


def _end(results: Sequence[Result], *, as_json: bool) -> None:
    """Print what scripts read, and give the exit code: 1 where not one request succeeded."""
    if as_json:
        data = [result.report.model_dump(mode="json", by_alias=True) for result in results]
        print_json(
            data[0]
            if len(data) == 1
            else {
                result.report.configuration.kind.value: one
                for result, one in zip(results, data, strict=True)
            }
        )
    if any(result.stopped for result in results):
        raise typer.Exit(INTERRUPTED)
    good = all(any(step.summary.successful for step in result.report.steps) for result in results)
    raise typer.Exit(0 if good else 1)
