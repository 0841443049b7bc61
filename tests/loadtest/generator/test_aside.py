"""One thing after another, in a thread of its own; what fails is told."""

import threading

import pytest

from loadtest.generator.aside import Aside


async def test_all_is_done_in_order_and_elsewhere() -> None:
    done: list[tuple[int, int]] = []
    aside = Aside(failed=lambda: None)
    for number in range(100):
        aside.do(lambda number: done.append((number, threading.get_ident())), number)
    await aside.finish()
    assert [number for number, _ in done] == list(range(100))
    (thread,) = {thread for _, thread in done}
    assert thread != threading.get_ident()


async def test_a_failure_is_told_at_once_and_raised_at_the_end() -> None:
    told = threading.Event()
    done: list[int] = []
    aside = Aside(failed=told.set)
    aside.do(lambda _: 1 / 0, None)
    assert told.wait(10)
    aside.do(done.append, 7)
    with pytest.raises(ZeroDivisionError):
        await aside.finish()
    assert done == [7]
