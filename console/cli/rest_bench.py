"""What the commands of ``whisperctl rest`` share: plan, key, target and the measurement itself."""

import os
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from console.cli.common import UserError
from console.cli.load import stopping_in_order
from console.cli.rest_progress import RestView
from console.target import StackTarget
from loadtest.rest.events import RestFinished
from loadtest.rest.plan import RestKind, RestPlan, ladder
from loadtest.rest.report import RestReport
from loadtest.rest.scaling import ScalingSuite, measurable
from loadtest.rest.suite import SingleSuite, Suite
from loadtest.shards import LoadError
from stack.engine import Engine
from stack.spec import KEY_VARIABLE
from stack.status import StackState
from stack.validation import first_problem

MAX_KEY = 4096


def make_rest_plan(**values: Any) -> RestPlan:
    """Build a plan from command-line values; raises UserError (exit 2) that names the bad one."""
    try:
        return RestPlan(**values)
    except ValidationError as error:
        where, what = first_problem(error)
        field = where.partition(".")[0] or "plan"
        option = {"concurrencies": "concurrency", "audio_directory": "audio-dir"}.get(field, field)
        raise UserError(
            f"--{option.replace('_', '-')} is not usable: {what}.",
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


class Result:
    """What a measurement came to, on the way to the exit code."""

    def __init__(self, report: RestReport, *, stopped: bool) -> None:
        self.report, self.stopped = report, stopped


class Bench:
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

    async def single(
        self, url: str | None, largest: int, min_success: float, *, as_json: bool
    ) -> Result:
        """Climb the ladder of this server, or of the running stack."""
        url = url if url is not None else await self._stack_url()
        plan = make_rest_plan(
            kind=RestKind.SINGLE,
            url=url,
            concurrencies=ladder(largest),
            min_success=min_success,
            **self._options,
        )
        suite = SingleSuite(plan, **await self._place(plan))
        return await self._follow(suite, as_json=as_json)

    async def scaling(self, workers: Sequence[int], concurrency: int, *, as_json: bool) -> Result:
        """Measure the running stack at these counts of replicas."""
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
    async def _follow(suite: Suite, *, as_json: bool) -> Result:
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
        return Result(suite.report, stopped=stopped())
