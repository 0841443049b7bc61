"""What a stack should be, and how commands change that. Pure; kept in ``desired.json``."""

from collections.abc import Collection
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from stack.engine import StackError
from stack.spec import StackSpec, Strategy
from stack.status import by_number


class Phase(StrEnum):
    """Whether the stack should be."""

    UP = "up"
    DOWN = "down"


class ModelChange(BaseModel):
    """A change of the model that goes on: replicas are replaced one after another."""

    model_config = ConfigDict(frozen=True)

    before: str
    """Model of the replicas that are still to be replaced."""
    old: tuple[str, ...]
    """Their names, in the order in which they go."""
    coming: str | None = None
    """The replica that is warmed up to take the first one's place; until then it counts for none
    of those that were asked for."""
    back: bool = False
    """The new model could not be started: the stack goes back to the one it had."""


class Desired(BaseModel):
    """What the stack should be."""

    spec: StackSpec
    phase: Phase = Phase.UP
    replicas: tuple[str, ...]
    """Names, so that a drained replica goes and no other."""
    generations: dict[str, int] = {}
    """A replica whose number has grown is to be replaced by a fresh process."""
    kills: dict[str, int] = {}
    """A replica whose number has grown is to be ended at once; it is started again."""
    change: ModelChange | None = None
    problem: str = ""
    """Why the last change of the model was given up; one sentence."""
    drain_on_down: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All replicas that should run, the one that is to take another's place among them."""
        if self.change is None or self.change.coming is None:
            return self.replicas
        return tuple(by_number({*self.replicas, self.change.coming}))

    @property
    def outdated(self) -> tuple[str, ...]:
        """The replicas that still run the model of before."""
        if self.change is None:
            return ()
        return tuple(name for name in self.change.old if name in self.replicas)

    def spec_of(self, name: str) -> StackSpec:
        """Return the spec that a replica is started by: while the model changes there are two."""
        if self.change is None or name not in self.outdated:
            return self.spec
        return self._with_model_in_spec(self.change.before)

    def _with_model_in_spec(self, model: str) -> StackSpec:
        replica = self.spec.replica.model_copy(update={"model": model})
        return self.spec.model_copy(update={"replica": replica})

    # --- how many -------------------------------------------------------------------------------

    def with_count(self, count: int) -> "Desired":
        """Return the same with ``count`` replicas: the last go, the lowest free names come."""
        names = list(self.replicas[:count])
        number = 1
        while len(names) < count:
            if (name := f"replica-{number}") not in self.names:
                names.append(name)
            number += 1
        return self.with_names(names)

    def with_names(self, names: list[str]) -> "Desired":
        """Return the same with these replicas, in the order of their numbers."""
        ordered = tuple(by_number(names))
        spec = self.spec.model_copy(update={"replicas": len(ordered)})
        return self.model_copy(update={"spec": spec, "replicas": ordered})

    # --- which process --------------------------------------------------------------------------

    def with_restart(self, name: str) -> "Desired":
        """Return the same with a replica that is to be replaced by a fresh process."""
        grown = self.generations | {name: self.generations.get(name, 0) + 1}
        return self.model_copy(update={"generations": grown})

    def with_kill(self, name: str) -> "Desired":
        """Return the same with a replica that is to be ended at once."""
        grown = self.kills | {name: self.kills.get(name, 0) + 1}
        return self.model_copy(update={"kills": grown})

    # --- what it runs ---------------------------------------------------------------------------

    def with_strategy(self, strategy: Strategy) -> "Desired":
        """Return the same with another way of choosing a replica for a new session."""
        balancer = self.spec.balancer.model_copy(update={"strategy": strategy})
        return self.model_copy(update={"spec": self.spec.model_copy(update={"balancer": balancer})})

    def with_model(self, model: str) -> "Desired":
        """Return the same on its way to another model.

        Asked for the model of before in the middle of a change, it goes back. Raises StackError
        for a third one.
        """
        running = self.spec.replica.model
        if model == running:
            return self.model_copy(update={"problem": ""}) if self.problem else self
        if self.change is None:
            change = ModelChange(before=running, old=self.replicas) if self.replicas else None
            return self._toward(model, change, problem="")
        if model != self.change.before:
            raise StackError(
                f"Stack '{self.spec.name}' changes from model '{self.change.before}' to "
                f"'{running}'; wait until it has, or go back with "
                f"'whisperctl change --model {self.change.before}' first."
            )
        return self._turned(back=False, problem="")

    def _toward(self, model: str, change: ModelChange | None, **update: Any) -> "Desired":
        update |= {"spec": self._with_model_in_spec(model), "change": change}
        return self.model_copy(update=update)

    def _turned(self, *, back: bool, problem: str) -> "Desired":
        assert self.change is not None  # noqa: S101
        fresh = tuple(name for name in self.replicas if name not in self.outdated)
        running = self.spec.replica.model
        change = ModelChange(before=running, old=fresh, back=back) if fresh else None
        return self._toward(self.change.before, change, problem=problem)

    def with_coming(self, taken: Collection[str]) -> "Desired":
        """Return the same with a replica of the new model on its way; ``taken``: names in use."""
        number = 1
        while (name := f"replica-{number}") in {*self.names, *taken}:
            number += 1
        return self._with_change(coming=name)

    def with_arrived(self) -> "Desired":
        """Return the same where the new replica has taken the place of the first old one."""
        assert self.change is not None  # noqa: S101
        first, coming = self.outdated[0], self.change.coming
        names = [name for name in self.replicas if name != first]
        left = tuple(name for name in self.outdated if name != first)
        there = self.with_names([*names, coming] if coming is not None else names)
        return there._with_change(old=left, coming=None).finished()

    def _with_change(self, **update: Any) -> "Desired":
        assert self.change is not None  # noqa: S101
        return self.model_copy(update={"change": self.change.model_copy(update=update)})

    def finished(self) -> "Desired":
        """Return the same without its change, if nothing is left of that."""
        return self if self.outdated else self.model_copy(update={"change": None})

    def with_refused(self, problem: str) -> "Desired":
        """Return the same on its way back, because the new model can't be started."""
        return self._turned(back=True, problem=problem)
