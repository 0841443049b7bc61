"""What the clients of one generator process share."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from loadtest.events import ClientReady
from loadtest.generator.pacer import Pacer
from loadtest.plan import StepOrder


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the clients of one generator process share."""

    order: StepOrder
    pacer: Pacer
    security: ssl.SSLContext | None
    stopping: asyncio.Event
    """Set when the run is being stopped: sessions are left as incomplete."""
    report_ready: Callable[[ClientReady], None]
    report_latency: Callable[[int, list[float]], None]
