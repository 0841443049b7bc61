"""Commands on images and files: build, export compose."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from console.cli.common import (
    BalancerImageOption,
    GpusOption,
    ImageOption,
    MemoryOption,
    NameOption,
    UpstreamMetricsOption,
    UserError,
    engine_for,
    out,
    parse_bytes,
    run_async,
)
from console.cli.export import export_app, write_file
from console.cli.stacks import make_spec
from stack.spec import (
    DEFAULT_BALANCER_IMAGE,
    DEFAULT_HOST,
    DEFAULT_IMAGE,
    DEFAULT_PORT,
    DEFAULT_STACK_NAME,
    MAX_REPLICAS,
    ContainerSpec,
    EngineName,
    StackSpec,
    Strategy,
)

DEFAULT_EXPORT_REPLICAS = 3


def _build(
    tag: Annotated[str, typer.Option(help="Name of the image.")] = DEFAULT_IMAGE,
    base: Annotated[
        str | None,
        typer.Option(
            help="Image it is built on; without it a slim Python, or with --cuda a CUDA runtime."
        ),
    ] = None,
    cuda: Annotated[bool, typer.Option("--cuda", help="For hosts with NVIDIA cards.")] = False,
    wheels: Annotated[
        Path | None,
        typer.Option(help="Directory of wheels; pip then asks no package index."),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Network of the build, such as 'host'.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print all that the builder says.")
    ] = False,
) -> None:
    """Build the image of replica, collector and load generator."""
    # Docker's SDK takes a while to load; only these commands need it.
    from stack.docker.client import connect  # noqa: PLC0415
    from stack.images.build import CUDA_BASE, DEFAULT_BASE, build_image  # noqa: PLC0415

    if wheels is not None and not wheels.is_dir():
        raise UserError(f"Directory {wheels} of --wheels is missing.", exit_code=2)
    chosen = base or (CUDA_BASE if cuda else DEFAULT_BASE)
    lines = build_image(connect(), tag=tag, base=chosen, wheels=wheels, network=network)
    if verbose:
        for line in lines:
            typer.echo(line)
    else:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=out(), transient=True) as progress:
            task = progress.add_task("Building …")
            for line in lines:
                progress.update(task, description=line[:100])
    typer.echo(f"Image {tag} is built on {chosen}.")


@export_app.command("compose")
def _compose(
    directory: Annotated[
        Path, typer.Option("--output", "-o", help="Directory that the files are written to.")
    ] = Path("whisperctl-compose"),
    name: NameOption = DEFAULT_STACK_NAME,
    replicas: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_REPLICAS, help="Without it 3, or as the running stack has."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="As for 'up'.")] = None,
    image: ImageOption = DEFAULT_IMAGE,
    balancer_image: BalancerImageOption = DEFAULT_BALANCER_IMAGE,
    gpus: GpusOption = "auto",
    memory: MemoryOption = None,
    upstream_metrics_port: UpstreamMetricsOption = None,
    host: Annotated[str, typer.Option(help="Address the balancer listens on.")] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its port.")] = DEFAULT_PORT,
    strategy: Annotated[
        Strategy, typer.Option(help="How the balancer chooses a replica.")
    ] = Strategy.LEAST_CONNECTIONS,
    subnet: Annotated[
        str, typer.Option(help="Addresses of the cluster network.")
    ] = "172.28.90.0/24",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write compose.yaml and nginx.conf, and .env with the project's name.

    A stack of containers that runs under this name is written as it is; else the options say what.
    """
    running = run_async(engine_for(name).status()).spec
    if running is not None and running.engine is EngineName.DOCKER:
        spec = running
        if replicas is not None:
            spec = spec.model_copy(update={"replicas": replicas})
    else:
        spec = make_spec(
            name=name,
            engine=EngineName.DOCKER,
            replicas=replicas or DEFAULT_EXPORT_REPLICAS,
            model=model or "small",
            host=host,
            port=port,
            strategy=strategy,
            containers={
                "image": image,
                "server": "upstream" if "whisperlive-" in image else "whisperctl",
                "balancer_image": balancer_image,
                "gpus": gpus,
                "memory": parse_bytes("memory", memory),
                "upstream_metrics_port": upstream_metrics_port,
            },
        )
    for path, text in _compose_texts(spec, subnet).items():
        write_file(directory / path, text, force=force)
    # Made here, because the engine would make it root's.
    (directory / "results").mkdir(exist_ok=True)
    typer.echo(f"{directory}/compose.yaml, nginx.conf and .env are written; start them with")
    typer.echo(f"  cd {directory} && docker compose up --detach")


def _compose_texts(spec: StackSpec, subnet: str) -> dict[str, str]:
    from stack.docker.compose import compose_files  # noqa: PLC0415
    from stack.docker.preflight import cards_of, gpus_here, listening_address  # noqa: PLC0415
    from stack.offline import MODEL_DIRECTORY  # noqa: PLC0415

    containers = spec.containers or ContainerSpec()
    if containers.gpus == "auto":
        containers = containers.model_copy(update={"gpus": gpus_here()})
    host = listening_address(spec.balancer.host)
    spec = spec.model_copy(
        update={
            "containers": containers,
            "balancer": spec.balancer.model_copy(update={"host": host}),
        }
    )
    try:
        return compose_files(
            spec,
            cores=os.cpu_count() or 1,
            cards=cards_of(spec),
            offline_model=str(MODEL_DIRECTORY),
            subnet=subnet,
            user=f"{os.getuid()}:{os.getgid()}",
        )
    except ValueError as error:
        raise UserError(f"--subnet {subnet} is not usable: {error}.", exit_code=2) from None


def register(app: typer.Typer) -> None:
    """Add the command that is not in the group of exports."""
    app.command("build")(_build)
