"""What the containers themselves tell of a stack, for whoever has lost its state directory."""

from contextlib import suppress

import docker
from docker.errors import NotFound
from pydantic import ValidationError

from stack.docker.containers import BALANCER
from stack.docker.errors import explained
from stack.docker.view import StackView
from stack.engine import StackError
from stack.spec import KEY_VARIABLE, REPLICA_PORT, EngineName, StackSpec
from stack.supervision.desired import Desired, ModelChange
from stack.supervision.state import ReplicaRecord, State


def found(stack: str, view: StackView, *, to_end: bool) -> tuple[Desired, State] | None:
    """Return what a stack should be and what runs, by the labels; None when there is nothing.

    Raises StackError when what is left does not say what it was; with ``to_end`` it need not.
    """
    view.look(anew=True)
    balancer = view.named(BALANCER)
    if not view.all():
        return None
    state = State()
    if balancer is not None:
        state.balancer.part = balancer.identity
    try:
        spec = StackSpec.model_validate_json(balancer.spec if balancer is not None else "")
    except ValidationError:
        # Its balancer, and with it what the stack was, is gone or of another version.
        if not to_end:
            raise StackError(
                f"Of stack '{stack}' only containers are left that don't say what it was; "
                "take them down with 'whisperctl down --engine docker'."
            ) from None
        spec = StackSpec(name=stack, engine=EngineName.DOCKER)
    take(state, view)
    names = tuple(record.name for record in state.replicas)
    desired = Desired(
        spec=spec,
        replicas=(),
        generations={record.name: record.generation for record in state.replicas},
    ).with_names(list(names))
    return _with_models(desired, view), state


def _with_models(desired: Desired, view: StackView) -> Desired:
    """Take the models from the replicas: what the balancer tells is what they were first.

    Of two models the one of the newest container is the one that the stack was changing to.
    """
    replicas = [seen for seen in view.all() if seen.part in desired.replicas and seen.model]
    if not replicas:
        return desired
    model = max(replicas, key=lambda seen: seen.created).model
    old = [seen for seen in replicas if seen.model != model]
    change = None
    if old:
        change = ModelChange(before=old[0].model, old=tuple(seen.part for seen in old))
    replica = desired.spec.replica.model_copy(update={"model": model})
    spec = desired.spec.model_copy(update={"replica": replica})
    return desired.model_copy(update={"spec": spec, "change": change})


def take(state: State, view: StackView) -> list[str]:
    """Add the replicas that run and the state doesn't know; returns their names."""
    known = {record.name for record in state.replicas}
    taken = []
    for seen in view.all():
        if seen.part == BALANCER or seen.part in known:
            continue
        record = ReplicaRecord(name=seen.part, generation=seen.generation, model=seen.model)
        if seen.running:
            record.part, record.host, record.port = seen.identity, seen.address, REPLICA_PORT
        state.replicas.append(record)
        taken.append(seen.part)
    return taken


def key_of(client: docker.DockerClient, view: StackView) -> str | None:
    """Return the key that the replicas ask for; None when they ask for none."""
    for seen in view.all():
        if seen.part == BALANCER:
            continue
        with explained("look at a container"), suppress(NotFound):
            inspected = client.api.inspect_container(seen.identity.container)
            for entry in inspected["Config"].get("Env") or []:
                name, _, value = str(entry).partition("=")
                if name == KEY_VARIABLE:
                    return value
    return None
