"""The cards' figures, and cards and drivers that go and come back."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest
from fakes.nvml import GIB, TWO_CARDS, World

from stack.status import GpuSample
from stack.telemetry import gpu, gpu_session
from stack.telemetry.environment import environment
from stack.telemetry.gpu import Gpu, GpuReader
from stack.telemetry.machine import MachineReader
from stack.telemetry.sampler import Sampler, Source

CARD_A, CARD_B = ("card GPU-" + part for part in TWO_CARDS.split("card GPU-")[1:])


def until(look: Callable[[], tuple[GpuSample, ...]], problems: list[str]) -> tuple[GpuSample, ...]:
    """Look until the cards' problems are these."""
    deadline = time.monotonic() + 20
    while True:
        found = look()
        if [card.problem for card in found] == problems:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def test_the_inventory(nvml: World) -> None:
    nvml.on("GPU-b", "mig 1")
    assert GpuReader().devices() == [
        Gpu(0, "NVIDIA L4", 24 * GIB, "560.35.03", False, 72.0, 2040e6),
        Gpu(
            *(1, "NVIDIA A2", 16 * GIB, "560.35.03", True, 60.0, 1770e6),
            hidden_shares="not supported",
        ),
    ]


def test_each_cards_figures(nvml: World) -> None:
    first, second = GpuReader().cards()
    assert first == GpuSample(
        index=0,
        name="NVIDIA L4",
        memory=24 * GIB,
        memory_used=6 * GIB,
        utilisation=0.6,
        encoder=0.07,
        temperature=64.0,
        power=65.5,
        power_limit=72.0,
        clock=1740e6,
        clock_limit=2040e6,
        throttle=("power limit",),
    )
    assert second.throttle == (), "idleness is no throttling"
    assert second.clock == 210e6


@pytest.mark.parametrize(
    ("bits", "words", "held"),
    [
        (0x20 | 0x40, ("heat",), ("heat",)),
        (0x08 | 0x80, ("power brake", "hardware slowdown"), ("power brake", "hardware slowdown")),
        (0x02, ("clocks as set",), ()),
        (0x01 | 0x04, ("power limit",), ("power limit",)),
        (0x10 | 0x100, ("in step with others", "display"), ()),
    ],
)
def test_what_holds_the_clock_down(
    nvml: World, bits: int, words: tuple[str, ...], held: tuple[str, ...]
) -> None:
    nvml.set(TWO_CARDS.replace("throttle 4", f"throttle {bits}"))
    card = GpuReader().cards()[0]
    assert (card.throttle, card.held_back) == (words, held)


def test_the_reasons_of_an_older_driver(nvml: World) -> None:
    nvml.set("fail nvmlDeviceGetCurrentClocksEventReasons 13\n" + TWO_CARDS)
    assert GpuReader().cards()[0].throttle == ("power limit",)


def test_what_a_card_does_not_tell_is_unknown(nvml: World) -> None:
    nvml.set("driver 1\ncard GPU-a A card\n")
    assert GpuReader().cards() == (GpuSample(index=0, name="A card"),)


FIGURES = [
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetEncoderUtilization",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetCurrentClocksEventReasons",
]


@pytest.mark.parametrize("function", FIGURES)
def test_a_right_that_lacks_costs_one_figure(nvml: World, function: str) -> None:
    whole = GpuReader().cards()[0]
    nvml.set(f"fail {function} 4\n" + TWO_CARDS)
    found = GpuReader().cards()[0].model_dump()
    lacking = {name for name, value in whole.model_dump().items() if found[name] != value}
    assert len(lacking) == 1
    assert found["problem"] == ""


def test_settings_are_not_asked_for_each_second(nvml: World) -> None:
    reader = GpuReader()
    names = ("nvmlDeviceGetName", "nvmlDeviceGetEnforcedPowerLimit", "nvmlInitWithFlags")
    reader.cards()
    before = [nvml.calls(name) for name in names]
    for _ in range(20):
        reader.cards()
        reader.use({"one": [psutil.Process().pid]})
    assert [nvml.calls(name) for name in names] == before


def test_no_driver_is_a_normal_state(nvml: World) -> None:
    nvml.set("away 9\n")
    reader = GpuReader()
    assert reader.cards() == ()
    assert reader.devices() == []
    assert reader.use({"one": [1]}) == {}
    assert reader.inventory().problem == "driver not loaded"


def test_no_library_is_a_normal_state() -> None:
    code = """
from stack.telemetry.gpu import GpuReader
reader = GpuReader()
found = reader.inventory()
# A machine with a card may run this.
assert found.cards or found.problem == "driver's library not found", found
print(reader.use({"one": [1]}))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_lost_card_is_said_to_be_and_comes_back(nvml: World) -> None:
    reader = GpuReader()
    reader.cards()
    nvml.on("GPU-a", "lost", f"compute {psutil.Process().pid} 300")
    first, second = until(reader.cards, ["lost", ""])
    assert (first.index, first.name, first.memory) == (0, "NVIDIA L4", 24 * GIB)
    assert first.memory_used is first.utilisation is first.power is None
    assert (second.index, second.memory_used) == (1, 1 * GIB), "the other's figures go on"
    assert reader.use({"one": [psutil.Process().pid]}) == {}
    assert [card.name for card in reader.devices()] == ["NVIDIA A2"]
    nvml.on("GPU-a", f"compute {psutil.Process().pid} 300")
    first, second = until(reader.cards, ["", ""])
    assert (first.index, first.memory_used, second.index) == (0, 6 * GIB, 1)
    assert reader.use({"one": [psutil.Process().pid]})["one"].memory == 300


def test_a_card_that_is_unplugged_keeps_its_number(nvml: World) -> None:
    reader = GpuReader()
    reader.cards()
    nvml.set("driver 1\n" + CARD_B)
    first, second = until(reader.cards, ["lost", ""])
    assert (first.name, second.name, second.index) == ("NVIDIA L4", "NVIDIA A2", 1)
    nvml.set("driver 1\n" + CARD_B + "card GPU-c Another\n memory 10 5\n")
    third = until(reader.cards, ["lost", "", ""])[2]
    assert (third.index, third.name, third.memory_used) == (2, "Another", 5)
    nvml.set("driver 1\n" + CARD_A + CARD_B)
    assert [card.name for card in until(reader.cards, ["", "", "lost"])][:1] == ["NVIDIA L4"]


@pytest.mark.parametrize(
    ("code", "word"),
    [(9, "driver not loaded"), (18, "driver and library differ in version")],
)
def test_a_driver_that_is_reloaded(nvml: World, code: int, word: str) -> None:
    reader = GpuReader()
    reader.cards()
    nvml.set(f"away {code}\n" + TWO_CARDS)
    until(reader.cards, [word, word])
    assert reader.inventory().problem == word
    nvml.set(TWO_CARDS)
    assert until(reader.cards, ["", ""])[0].memory_used == 6 * GIB


def test_a_driver_that_was_reloaded_between_two_looks(nvml: World) -> None:
    reader = GpuReader()
    reader.cards()
    nvml.set("away 9\n" + TWO_CARDS)
    MachineReader()._gpus.cards()  # somebody else looks meanwhile
    nvml.set(TWO_CARDS)
    assert until(reader.cards, ["", ""])[0].memory_used == 6 * GIB


def test_trying_again_is_not_tried_each_second(
    nvml: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml.set("away 9\n")
    monkeypatch.setattr(gpu_session, "RETRY", 60.0)
    monkeypatch.setattr(gpu, "_SESSION", gpu_session.Session())
    before = nvml.calls("nvmlInitWithFlags")
    for _ in range(5):
        GpuReader().cards()
    assert nvml.calls("nvmlInitWithFlags") == before + 1


async def test_a_driver_that_hangs_costs_its_own_cells_only(nvml: World) -> None:
    pid = psutil.Process().pid
    nvml.on("GPU-a", f"compute {pid} 300")
    sampler, machine = Sampler(), MachineReader()
    sources = [Source("replica-1", (pid,), None)]
    assert (await sampler.sample(sources))["replica-1"].gpu_memory == 300
    assert machine.read(None).gpus[0].memory_used == 6 * GIB
    nvml.on("GPU-a", f"compute {pid} 300", first="hang nvmlDeviceGetCount_v2")
    before = nvml.calls("nvmlDeviceGetCount_v2")
    for _ in range(2):
        sample = (await sampler.sample(sources))["replica-1"]
        assert sample.memory
        assert sample.cpu is not None
        assert sample.gpu_memory is None
        told = await asyncio.to_thread(machine.read, None)
        assert told.memory_available
        assert [card.problem for card in told.gpus] == ["no answer"] * 2
        assert told.gpus[0].memory == 24 * GIB
        assert told.gpus[0].memory_used is told.gpus[0].clock is None
    assert nvml.calls("nvmlDeviceGetCount_v2") == before + 1, "one that hangs is not asked again"
    nvml.on("GPU-a", f"compute {pid} 300")
    await asyncio.to_thread(until, lambda: machine.read(None).gpus, ["", ""])
    assert (await sampler.sample(sources))["replica-1"].gpu_memory == 300


def test_a_program_ends_while_the_driver_hangs(nvml: World) -> None:
    nvml.set("hang nvmlDeviceGetCount_v2\n" + TWO_CARDS)
    code = """
import asyncio, os
from stack.telemetry.sampler import Sampler, Source
print(asyncio.run(Sampler().sample([Source("one", (os.getpid(),), None)]))["one"].memory > 0)
"""
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=nvml.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout.strip() == "True"


@pytest.mark.parametrize("code", [1, 2, 3, 4, 9, 10, 15, 16, 18, 999])
@pytest.mark.parametrize(
    "function",
    [
        *FIGURES,
        "nvmlInitWithFlags",
        "nvmlShutdown",
        "nvmlSystemGetDriverVersion",
        "nvmlDeviceGetCount_v2",
        "nvmlDeviceGetHandleByIndex_v2",
        "nvmlDeviceGetName",
        "nvmlDeviceGetUUID",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetProcessUtilization",
    ],
)
def test_whatever_fails_is_survived(nvml: World, function: str, code: int) -> None:
    pid = psutil.Process().pid
    nvml.set(f"fail {function} {code}\n" + TWO_CARDS)
    reader = GpuReader()
    for _ in range(2):
        reader.cards()
        reader.use({"one": [pid]})
        reader.devices()
    nvml.on("GPU-a", f"compute {pid} 300")
    deadline = time.monotonic() + 20
    while [card.memory_used for card in reader.cards() if not card.problem][:2] != [
        6 * GIB,
        1 * GIB,
    ]:
        assert time.monotonic() < deadline, reader.cards()
    assert reader.use({"one": [pid]})["one"].memory == 300


def test_runs_say_on_what_cards_they_were_made(nvml: World) -> None:
    cards = environment().model_dump()["gpus"]
    assert [(card["name"], card["memory"]) for card in cards] == [
        ("NVIDIA L4", 24 * GIB),
        ("NVIDIA A2", 16 * GIB),
    ]
    assert not any("GPU-a" in str(card) for card in cards), "no number of a piece of hardware"
