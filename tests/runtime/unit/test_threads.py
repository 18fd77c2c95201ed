"""Threads with room for a guest: reused, counted when left behind, and refused when too many are."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from cloche.runtime.errors import BlockedTools
from cloche.runtime.threads import GUEST_STACK, Expired, ThreadPool, acall_on_thread, call_on_thread, post, tool_threads
from cloche.runtime.wasm.stack import stack_size

PATIENCE = 60.0


def wait_until(ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < give_up
        time.sleep(0.002)


def test_a_jobs_value_and_its_errors() -> None:
    pool = ThreadPool()
    assert pool.submit(lambda: 42).result(PATIENCE) == 42
    for error in (ValueError("v"), SystemExit(1), KeyboardInterrupt()):

        def fail(error: BaseException = error) -> None:
            raise error

        assert pool.submit(fail).exception(PATIENCE) is error
    assert pool.submit(lambda: 43).result(PATIENCE) == 43


def test_threads_are_reused_and_have_room() -> None:
    pool = ThreadPool("test-reuse")
    idents = {pool.submit(threading.get_ident).result(PATIENCE) for _ in range(50)}
    assert len(idents) == 1
    assert pool.submit(stack_size).result(PATIENCE) >= GUEST_STACK
    assert threading.stack_size() == 0


def test_a_job_starts_at_once_however_many_run() -> None:
    pool = ThreadPool()
    barrier = threading.Barrier(40)
    futures = [pool.submit(lambda: barrier.wait(PATIENCE)) for _ in range(40)]
    assert sorted(future.result(PATIENCE) for future in futures) == list(range(40))


def test_few_threads_stay_when_many_end() -> None:
    pool = ThreadPool("test-many")
    barrier = threading.Barrier(40)
    for future in [pool.submit(lambda: barrier.wait(PATIENCE)) for _ in range(40)]:
        future.result(PATIENCE)
    wait_until(lambda: sum(thread.name == "test-many" for thread in threading.enumerate()) <= 16)


def test_jobs_left_behind_are_counted_and_bounded() -> None:
    pool = ThreadPool(max_abandoned=3)
    leave = threading.Event()
    for number in range(3):
        pool.abandon(pool.submit(leave.wait))
        assert pool.abandoned == number + 1
    with pytest.raises(BlockedTools) as caught:
        pool.submit(leave.wait)
    assert (caught.value.count, caught.value.limit) == (3, 3)
    leave.set()
    wait_until(lambda: pool.abandoned == 0)
    assert pool.submit(lambda: 1).result(PATIENCE) == 1


def test_a_job_that_ended_before_it_was_left_is_not_counted() -> None:
    pool = ThreadPool()
    future = pool.submit(lambda: 1)
    future.result(PATIENCE)
    pool.abandon(future)
    assert pool.abandoned == 0


def test_what_a_job_held_is_let_go() -> None:
    import gc
    import weakref

    class Thing:
        pass

    pool = ThreadPool()
    thing = Thing()
    gone = weakref.ref(thing)
    pool.submit(lambda thing=thing: None).result(PATIENCE)  # type: ignore[misc]
    del thing
    wait_until(lambda: gc.collect() >= 0 and gone() is None)


def test_a_call_on_another_thread_takes_the_context_along() -> None:
    variable = ContextVar("variable", default=0)
    variable.set(7)
    assert call_on_thread(lambda: (variable.get(), threading.get_ident())) != (7, threading.get_ident())
    assert call_on_thread(variable.get) == 7
    assert asyncio.run(acall_on_thread(variable.get)) == 7


@pytest.mark.parametrize("error", [TimeoutError("its own"), ValueError("wrong"), KeyboardInterrupt()])
def test_a_call_raises_what_the_function_raises(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        call_on_thread(fail, 5.0)
    if isinstance(error, Exception):
        with pytest.raises(type(error)):
            asyncio.run(acall_on_thread(fail, 5.0))


def test_a_late_call_is_left_behind() -> None:
    held = threading.Event()
    before = tool_threads.abandoned
    with pytest.raises(Expired):
        call_on_thread(held.wait, 0.01)
    with pytest.raises(Expired):
        asyncio.run(acall_on_thread(held.wait, 0.01))
    assert tool_threads.abandoned == before + 2
    held.set()
    wait_until(lambda: tool_threads.abandoned == before)


def test_a_cancelled_call_is_left_behind() -> None:
    held = threading.Event()
    before = tool_threads.abandoned

    async def cancelled() -> None:
        task = asyncio.ensure_future(acall_on_thread(held.wait))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(cancelled())
    assert tool_threads.abandoned == before + 1
    # The loop is closed by now: the outcome has nowhere to go, and nothing is raised or logged for it.
    held.set()
    wait_until(lambda: tool_threads.abandoned == before)


def test_what_comes_while_a_loop_is_at_it_does_not_wake_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, called, wakes = asyncio.new_event_loop(), list[str](), list[str]()
    usual = loop.call_soon_threadsafe

    def woken(*args: Any) -> Any:
        wakes.append("woken")
        return usual(*args)

    def first() -> None:
        called.append("first")
        post(loop, partial(called.append, "second"))
        loop.call_soon(post, loop, partial(called.append, "third"))
        raise ValueError

    monkeypatch.setattr(loop, "call_soon_threadsafe", woken)
    loop.set_exception_handler(lambda *_: called.append("it must not raise, and holds up nothing if it does"))
    try:
        post(loop, first)
        loop.run_until_complete(asyncio.sleep(0.01))
        assert called == ["first", "it must not raise, and holds up nothing if it does", "second", "third"]
        assert len(wakes) == 1
        post(loop, partial(called.append, "fourth"))
        loop.run_until_complete(asyncio.sleep(0.01))
        assert (called[-1], len(wakes)) == ("fourth", 2)
    finally:
        loop.close()


def test_a_loop_that_was_posted_to_is_let_go() -> None:
    loop = asyncio.new_event_loop()
    called: list[int] = []
    for number in range(3):
        post(loop, partial(called.append, number))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert called == [0, 1, 2]
    with pytest.raises(RuntimeError):
        post(loop, called.clear)
    kept = weakref.ref(loop)
    del loop
    gc.collect()
    assert kept() is None
