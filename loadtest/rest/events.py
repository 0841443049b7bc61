"""What a REST measurement tells whoever watches it."""

from dataclasses import dataclass
from pathlib import Path

from loadtest.rest.plan import RestPlan
from loadtest.rest.report import RestReport, RestStep


@dataclass(frozen=True, slots=True)
class RestStarted:
    """The endpoint answered; measuring begins."""

    plan: RestPlan
    clips: int


@dataclass(frozen=True, slots=True)
class RestNote:
    """Something worth a sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class RestStepStarted:
    """A step begins with its warm-up."""

    concurrency: int
    replicas: int | None


@dataclass(frozen=True, slots=True)
class RestProgress:
    """About one a second while a step is measured."""

    done: int
    failed: int
    of: int | None
    """Requests of the step; None where its duration decides."""
    elapsed: float
    """Seconds."""
    duration: float | None


@dataclass(frozen=True, slots=True)
class RestStepFinished:
    """A step is measured and saved."""

    step: RestStep
    path: Path


@dataclass(frozen=True, slots=True)
class RestFinished:
    """All is measured and saved."""

    report: RestReport
    path: Path


RestEvent = (
    RestStarted | RestNote | RestStepStarted | RestProgress | RestStepFinished | RestFinished
)
