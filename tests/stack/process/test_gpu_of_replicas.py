"""A whole stack on scripted cards: whose memory is whose, through restarts."""

from fakes.nvml import GIB, TWO_CARDS, World, with_lines

from stack.process.engine import ProcessEngine
from stack.status import StackStatus
from tests.stack.process.conftest import spec

MIB = 2**20


def script(world: World, status: StackStatus) -> None:
    """Put the first replica on the first card, and the second on both."""
    one, two = [replica.pid for replica in status.replicas]
    more = {
        "GPU-a": (
            f"compute {one} {5222 * MIB}",
            f"compute {two} {300 * MIB}",
            f"sample {one} -200000 70 0",
            f"sample {two} -200000 20 0",
        ),
        "GPU-b": (f"compute {two} {100 * MIB}", f"sample {two} 0 10 0", f"compute 4000000 {MIB}"),
    }
    world.set(with_lines(TWO_CARDS, more))


async def test_each_replicas_gpu_figures_are_its_own(nvml: World, engine: ProcessEngine) -> None:
    status = await engine.up(spec(2))
    try:
        script(nvml, status)
        samples = await engine.stats()
        first, second = samples["replica-1"], samples["replica-2"]
        assert (first.gpu_memory, first.gpu_memory_total) == (5222 * MIB, 24 * GIB)
        assert (first.gpu_utilisation, first.gpus, first.gpu_shared) == (0.7, (0,), False)
        assert (second.gpu_memory, second.gpu_memory_total) == (400 * MIB, 40 * GIB)
        assert (second.gpu_utilisation, second.gpus) == (0.2, (0, 1))
        assert first.memory
        assert first.sessions == 0

        before = status.replicas[0].pid
        status = await engine.restart("replica-1")
        assert status.replicas[0].pid != before
        again = (await engine.stats())["replica-1"]
        assert (again.gpu_memory, again.gpus) == (None, ()), "the card's process is another's now"
        script(nvml, status)
        assert (await engine.stats())["replica-1"].gpu_memory == 5222 * MIB
    finally:
        await engine.down()
