"""``whisperctl rest``: how many files a second a server transcribes over HTTP."""

import os
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from pydantic import ValidationError

from console.cli.common import (
    DEFAULT_RESULTS,
    INTERRUPTED,
    EngineOption,
    JsonOption,
    NameOption,
    ResultsOption,
    UserError,
    engine_for,
    out,
    print_json,
    run_async,
)
from console.cli.load import parse_clients, stopping_in_order
from console.cli.rest_progress import RestView
from console.rest_render import rest_details, rest_list
from console.target import StackTarget
from loadtest.rest.events import RestFinished
from loadtest.rest.plan import MAX_CONCURRENCY, AnswerFormat, RestKind, RestPlan, ladder
from loadtest.rest.report import RestReport
from loadtest.rest.scaling import ScalingSuite, measurable
from loadtest.rest.store import RestStore
from loadtest.rest.suite import SingleSuite, Suite
from loadtest.shards import LoadError
from stack.engine import Engine
from stack.spec import DEFAULT_STACK_NAME, KEY_VARIABLE
from stack.status import StackState
from test_audio import CLIPS_DIRECTORY

MAX_KEY = 4096

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
    int, typer.Option("--max-concurrency", min=1, max=MAX_CONCURRENCY, help="The last step's.")
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
    bench = _Bench(engine_for(name, engine), results_dir, api_key_file, options, label)
    _end([run_async(bench.single(url, max_concurrency, as_json=as_json))], as_json=as_json)


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
    bench = _Bench(engine_for(name, engine), results_dir, api_key_file, options, label)
    _end([run_async(bench.scaling(counts, concurrency, as_json=as_json))], as_json=as_json)


@app.command("all")
def _all(
    workers: _Workers = "1,2,3",
    concurrency: _Concurrency = 4,
    max_concurrency: _MaxConcurrency = 64,
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
    bench = _Bench(engine_for(name, engine), results_dir, api_key_file, options, label)

    async def both() -> list["_Result"]:
        # What would stop the second part should not wait for the first.
        measurable(await bench.engine.status())
        first = await bench.single(None, max_concurrency, as_json=as_json)
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


def make_rest_plan(**values: Any) -> RestPlan:
    """Build a plan from command-line values; raises UserError (exit 2) that names the bad one."""
    try:
        return RestPlan(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "plan"
        option = {"concurrencies": "concurrency", "audio_directory": "audio-dir"}.get(field, field)
        said = first["msg"].removeprefix("Value error, ")
        raise UserError(
            f"--{option.replace('_', '-')} is not usable: {said[:1].lower()}{said[1:]}.",
            exit_code=2,
        ) from None


def read_key(file: Path | None) -> str | None:
    """Return the API key: of the file, else of the environment; raises UserError."""
    if file is None:
        source, key = KEY_VARIABLE, os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            return None
    else:
        source = f"--api-key-file {file}"
        try:
            with file.open("rb") as opened:
                key = opened.read(MAX_KEY + 1).decode("ascii", "replace").strip()
        except OSError as error:
            raise UserError(f"{source} can't be read: {error.strerror}.", exit_code=2) from None
    # What a header can't carry must not come back in an error that repeats it.
    if not key or len(key) > MAX_KEY or not all("!" <= letter <= "~" for letter in key):
        raise UserError(f"{source} holds no key: it should be one word of ASCII.", exit_code=2)
    return key


class _Result:
    """What a measurement came to, on the way to the exit code."""

    def __init__(self, report: RestReport, *, stopped: bool) -> None:
        self.report, self.stopped = report, stopped


class _Bench:
    """One command's measurements: where they go, with which key and options."""

    def __init__(
        self,
        engine: Engine,
        results: Path,
        key_file: Path | None,
        options: dict[str, Any],
        label: str,
    ) -> None:
        self.engine = engine
        self._results = results
        self._key = read_key(key_file)
        self._options = options | {"label": label}

    async def single(self, url: str | None, largest: int, *, as_json: bool) -> _Result:
        url = url if url is not None else await self._stack_url()
        plan = make_rest_plan(
            kind=RestKind.SINGLE, url=url, concurrencies=ladder(largest), **self._options
        )
        suite = SingleSuite(plan, **await self._place(plan))
        return await self._follow(suite, as_json=as_json)

    async def scaling(self, workers: Sequence[int], concurrency: int, *, as_json: bool) -> _Result:
        measurable(await self.engine.status())
        plan = make_rest_plan(
            kind=RestKind.SCALING,
            url=await self._stack_url(),
            concurrencies=(concurrency,),
            workers=workers,
            **self._options,
        )
        suite = ScalingSuite(plan, self.engine, **await self._place(plan))
        return await self._follow(suite, as_json=as_json)

    async def _stack_url(self) -> str:
        status = await self.engine.status()
        if status.state is StackState.ABSENT or status.balancer is None:
            raise LoadError(
                f"There is no stack '{status.name}' to measure; bring one up with "
                "'whisperctl up', or name a server with 'rest single --url'."
            )
        return f"http://{status.balancer.address}"

    async def _place(self, plan: RestPlan) -> dict[str, Any]:
        parts = urlsplit(plan.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        target = StackTarget(self.engine, parts.hostname or "", port)
        return {
            "results_directory": self._results,
            "api_key": self._key,
            "facts": await target.describe(),
        }

    @staticmethod
    async def _follow(suite: Suite, *, as_json: bool) -> _Result:
        again = suite.stop if isinstance(suite, ScalingSuite) else None
        with (
            RestView(as_json=as_json) as view,
            stopping_in_order(suite, view, again=again) as stopped,
        ):
            async with aclosing(suite.run()) as events:
                async for event in events:
                    view.show(event)
                    if isinstance(event, RestFinished) and not as_json:
                        view.finish(event)
        return _Result(suite.report, stopped=stopped())


def _end(results: Sequence[_Result], *, as_json: bool) -> None:
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
