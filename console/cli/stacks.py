"""Commands on a stack: up, status, scale, restart, drain, kill, change, logs, down."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, NamedTuple

import typer
from pydantic import ValidationError

from console.cli.common import (
    INTERRUPTED,
    BalancerImageOption,
    EngineOption,
    GpusOption,
    ImageOption,
    JsonOption,
    MemoryOption,
    NameOption,
    UpstreamMetricsOption,
    UserError,
    engine_by_traces,
    engine_for,
    engine_name,
    out,
    parse_bytes,
    print_json,
    run_async,
    what_is_left,
)
from console.render import balancer_line, status_table
from console.rendering.cards import card_lines
from stack.engine import Engine
from stack.spec import (
    DEFAULT_BALANCER_IMAGE,
    DEFAULT_HOST,
    DEFAULT_IMAGE,
    DEFAULT_PORT,
    DEFAULT_STACK_NAME,
    MAX_REPLICAS,
    BalancerSpec,
    ContainerSpec,
    EngineName,
    ReplicaSpec,
    StackSpec,
    Strategy,
)
from stack.status import BalancerSample, GpuSample, ReplicaSample, StackState, StackStatus
from stack.validation import first_problem

DEFAULT_REPLICAS = 2
ReplicaArgument = Annotated[str, typer.Argument(help="Name of the replica, such as replica-1.")]
_WIDE = 100
"""Columns from which on there is room for per cent of the GPU's memory."""


def make_spec(
    *,
    name: str = DEFAULT_STACK_NAME,
    engine: EngineName = EngineName.PROCESS,
    replicas: int = 2,
    model: str = "offline",
    device: str = "auto",
    compute_type: str = "auto",
    threads: int = 0,
    max_sessions: int = 64,
    min_chunk: float = 1.0,
    final_pass: bool = False,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    strategy: Strategy = Strategy.LEAST_CONNECTIONS,
    drain_timeout: float = 30.0,
    containers: Mapping[str, object] | None = None,
) -> StackSpec:
    """Build a spec from command-line values; raises UserError (exit 2) that names the bad one."""
    try:
        return StackSpec(
            name=name,
            engine=engine,
            replicas=replicas,
            replica=ReplicaSpec(
                model=model,
                device=device,
                compute_type=compute_type,
                threads=threads,
                max_sessions=max_sessions,
                min_chunk=min_chunk,
                final_pass=final_pass,
            ),
            balancer=BalancerSpec(host=host, port=port, strategy=strategy),
            containers=(
                ContainerSpec.model_validate(containers or {})
                if engine is EngineName.DOCKER
                else None
            ),
            drain_timeout=drain_timeout,
        )
    except ValidationError as error:
        where, what = first_problem(error)
        option = where.rpartition(".")[2].replace("_", "-")
        given = error.errors()[0]["input"]
        raise UserError(f"--{option} {given!r} is not usable: {what}.", exit_code=2) from None


def _up(
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
    replicas: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MAX_REPLICAS,
            help="How many replicas; without it 2, or as many as a running stack has.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="'offline' (demonstration model), a Whisper size, a directory.")
    ] = "offline",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    compute_type: Annotated[str, typer.Option(help="CTranslate2 compute type.")] = "auto",
    threads: Annotated[
        int,
        typer.Option(min=0, help="CPU threads of one inference; 0 shares the cores."),
    ] = 0,
    max_sessions: Annotated[int, typer.Option(min=1, help="Sessions a replica takes.")] = 64,
    min_chunk: Annotated[
        float,
        typer.Option(min=0.01, max=60, help="Seconds of new audio between looks at a session."),
    ] = 1.0,
    final_pass: Annotated[
        bool,
        typer.Option(
            "--final-pass", help="Hear each session a second time for the best final text."
        ),
    ] = False,
    host: Annotated[str, typer.Option(help="Address the balancer listens on.")] = DEFAULT_HOST,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the balancer; 0 takes a free one.")
    ] = DEFAULT_PORT,
    strategy: Annotated[
        Strategy, typer.Option(help="How the balancer chooses a replica.")
    ] = Strategy.LEAST_CONNECTIONS,
    drain_timeout: Annotated[
        float,
        typer.Option(min=0, help="Seconds a replica that goes may keep its open sessions."),
    ] = 30.0,
    image: ImageOption = DEFAULT_IMAGE,
    balancer_image: BalancerImageOption = DEFAULT_BALANCER_IMAGE,
    gpus: GpusOption = "auto",
    memory: MemoryOption = None,
    upstream_metrics_port: UpstreamMetricsOption = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that may take; a model is downloaded in it.")
    ] = 600.0,
    as_json: JsonOption = False,
) -> None:
    """Bring a stack up, or adopt the one that runs, and wait until every replica takes sessions."""
    engine = engine_name(name, engine)
    looks_after = engine_for(name, engine)

    async def bring_up() -> StackStatus:
        wanted = replicas
        if wanted is None:
            running = (await looks_after.status()).spec
            wanted = running.replicas if running is not None else DEFAULT_REPLICAS
        asked = spec.model_copy(update={"replicas": wanted})
        return await looks_after.up(asked, timeout=timeout)

    spec = make_spec(
        name=name,
        engine=engine,
        replicas=DEFAULT_REPLICAS if replicas is None else replicas,
        model=model,
        device=device,
        compute_type=compute_type,
        threads=threads,
        max_sessions=max_sessions,
        min_chunk=min_chunk,
        final_pass=final_pass,
        host=host,
        port=port,
        strategy=strategy,
        drain_timeout=drain_timeout,
        containers={
            "image": image,
            "balancer_image": balancer_image,
            "gpus": gpus,
            "memory": parse_bytes("memory", memory),
            "upstream_metrics_port": upstream_metrics_port,
        },
    )
    try:
        status = run_async(bring_up())
    except KeyboardInterrupt:
        what = run_async(what_is_left(looks_after))
        raise UserError(f"Interrupted: {what}", exit_code=INTERRUPTED) from None
    _show(_Look(status), as_json=as_json)


def _status(
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the stack: every replica's state, sessions and use of CPU, memory and GPU."""

    async def look(
        engine: Engine,
    ) -> _Look:
        # NVML takes a while to load.
        from stack.telemetry.gpu import GpuReader  # noqa: PLC0415

        status = await engine.status()
        if status.state is StackState.ABSENT:
            return _Look(status)
        try:
            samples, balancer = await asyncio.gather(engine.stats(), engine.balancer_stats())
        finally:
            await engine.close()
        cards = await asyncio.to_thread(GpuReader().cards)
        return _Look(status, dict(samples), balancer, cards)

    seen = run_async(look(engine_for(name, engine)))
    _show(seen, as_json=as_json)
    status = seen.status
    if status.state is StackState.ABSENT:
        raise typer.Exit(1)


class _Look(NamedTuple):
    """A stack, and its figures of this second."""

    status: StackStatus
    samples: Mapping[str, ReplicaSample] = {}
    balancer: BalancerSample | None = None
    cards: tuple[GpuSample, ...] = ()


def _show(seen: _Look, *, as_json: bool) -> None:
    status, samples, balancer, cards = seen
    if as_json:
        data = status.model_dump(mode="json")
        for replica in data["replicas"]:
            sample = samples.get(replica["name"])
            replica["sample"] = sample.model_dump(mode="json") if sample else None
        if data["balancer"] is not None:
            sampled = balancer.model_dump(mode="json") if balancer is not None else None
            data["balancer"]["sample"] = sampled
        data["gpus"] = [card.model_dump(mode="json") for card in cards]
        print_json(data)
        return
    wide = out().width >= _WIDE
    out().print(status_table(status, samples, wide=wide))
    if balancer is not None:
        out().print(balancer_line(balancer))
    if cards:
        out().print(card_lines(cards, samples, wide=wide))


async def _and_say(engine: Engine, change: Callable[[], Awaitable[StackStatus]]) -> None:
    """Make a change, show the stack, and say what it cost, such as sessions that were cut."""
    before = max((event.sequence for event in (await engine.status()).events), default=0)
    status = await change()
    _show(_Look(status), as_json=False)
    for event in status.events:
        if event.sequence > before and event.severity != "information":
            typer.echo(f"{event.subject}: {event.text}", err=True)


def _scale(
    replicas: Annotated[int, typer.Argument(min=0, max=MAX_REPLICAS, help="How many replicas.")],
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
) -> None:
    """Change the number of replicas; one that goes keeps its sessions up to the drain timeout."""
    looks_after = engine_for(name, engine)
    run_async(_and_say(looks_after, lambda: looks_after.scale(replicas)))


def _drain(
    replica: ReplicaArgument,
    undo: Annotated[
        bool, typer.Option("--undo", help="Keep one that drains; a fresh one takes its place.")
    ] = False,
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
) -> None:
    """Send one replica no new session; it goes when its last one ends."""
    looks_after = engine_for(name, engine)
    change = looks_after.undrain if undo else looks_after.drain
    run_async(_and_say(looks_after, lambda: change(replica)))


def _kill(
    replica: ReplicaArgument,
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
) -> None:
    """End one replica at once, sessions and all; it is started again."""
    looks_after = engine_for(name, engine)
    run_async(_and_say(looks_after, lambda: looks_after.kill(replica)))


def _change(
    strategy: Annotated[
        Strategy | None, typer.Option(help="How the balancer chooses a replica.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="As for 'up'; replicas are replaced one after another."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that may take, beside the drain timeouts.")
    ] = 600.0,
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
) -> None:
    """Change strategy or model of a running stack; it goes on taking sessions meanwhile."""
    if strategy is None and model is None:
        raise UserError("Name what to change: --strategy, --model or both.", exit_code=2)
    looks_after = engine_for(name, engine)
    run_async(
        _and_say(
            looks_after,
            lambda: looks_after.change(strategy=strategy, model=model, timeout=timeout),
        )
    )


def _restart(
    replica: ReplicaArgument,
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
) -> None:
    """Replace one replica's process; its sessions may go on up to the drain timeout."""
    looks_after = engine_for(name, engine)
    run_async(_and_say(looks_after, lambda: looks_after.restart(replica)))


def _logs(
    replica: Annotated[
        str | None, typer.Argument(help="One replica; all parts without it.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    tail: Annotated[int, typer.Option(min=1, max=100_000, help="Lines to begin with.")] = 200,
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
) -> None:
    """Print what the stack's parts wrote."""

    async def read() -> None:
        lines = engine_for(name, engine).logs(replica, follow=follow, tail=tail)
        async for line in lines:
            typer.echo(line.text if replica else f"{line.source:<12} {line.text}")

    run_async(read())


def _down(
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
    drain: Annotated[bool, typer.Option("--drain", help="Let open sessions end first.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="At once, also where the stack's state is damaged; cuts sessions."
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that may take.")] = 60.0,
) -> None:
    """End the stack and leave nothing of it."""

    async def end() -> bool:
        looks_after = engine_for(name, engine)
        there = (await looks_after.status()).state is not StackState.ABSENT
        await looks_after.down(drain=drain, timeout=timeout)
        return there

    if force:
        run_async(engine_by_traces(name, engine).down(force=True))
        typer.echo(f"Stack '{name}' is down; nothing of it is left.")
        return
    there = run_async(end())
    typer.echo(f"Stack '{name}' is down." if there else f"There was no stack '{name}'.")


def register(app: typer.Typer) -> None:
    """Add the commands on a stack."""
    app.command("up")(_up)
    app.command("status")(_status)
    app.command("scale")(_scale)
    app.command("restart")(_restart)
    app.command("drain")(_drain)
    app.command("kill")(_kill)
    app.command("change")(_change)
    app.command("logs")(_logs)
    app.command("down")(_down)
