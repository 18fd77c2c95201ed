"""One run's account and its waits; events handed to another thread's loop."""

import asyncio
import math
import threading
import time

import pytest

from cloche.runtime.bridge.run_state import RunState
from cloche.runtime.errors import Interrupted, TimeExceeded
from cloche.runtime.limits import Limits
from cloche.runtime.machine_api import StopRun, now
from cloche.runtime.result import Event, Output
from cloche.runtime.session.driven import EventFeed

PATIENCE = 60.0


def never() -> bool:
    return False


def test_the_first_reason_counts() -> None:
    run = RunState(Limits())
    first, second = Interrupted("first"), Interrupted("second")
    run.interrupt(first)
    run.interrupt(second)
    for stop in (run.check, lambda: run.end(second), lambda: run.wait_for(never)):
        with pytest.raises(StopRun) as caught:
            stop()
        assert caught.value.reason is first


def test_a_wait_ends_when_it_is_posted_to() -> None:
    run = RunState(Limits(time=PATIENCE))
    threading.Timer(0.02, run.post, ["mail"]).start()
    run.wait_for(lambda: bool(run.finished))
    assert list(run.finished) == ["mail"]


def test_a_wait_ends_at_its_moment_or_at_the_deadline() -> None:
    run = RunState(Limits(time=0.2))
    started = time.monotonic()
    run.wait_for(never, now() + 0.05)
    assert time.monotonic() - started >= 0.05
    with pytest.raises(StopRun) as caught:
        run.wait_for(never)
    assert isinstance(caught.value.reason, TimeExceeded)
    assert caught.value.reason.used >= 0.2


def test_mail_without_a_waiter_wakes_no_thread_early() -> None:
    run = RunState(Limits(time=PATIENCE))
    for _ in range(50):
        run.post()
    started = time.monotonic()
    run.wait_for(never, now() + 0.05)
    assert time.monotonic() - started >= 0.05


def test_no_time_limit_means_no_deadline() -> None:
    run = RunState(Limits(time=None))
    assert run.stop.deadline == math.inf
    run.check()
    run.wait_for(lambda: True)


def test_time_starts_anew() -> None:
    run = RunState(Limits(time=PATIENCE))
    before = run.stop.deadline
    time.sleep(0.01)
    run.start()
    assert run.stop.deadline is not None
    assert before is not None
    assert run.stop.deadline > before


async def read(feed: EventFeed) -> list[Event]:
    return [event async for event in feed]


def test_a_feed_joins_what_its_reader_has_not_read() -> None:
    async def main() -> list[Event]:
        feed = EventFeed(asyncio.get_running_loop())
        for stream, text in (("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d"), ("stdout", "e")):
            feed.put(Output(stream, text))  # type: ignore[arg-type]
        feed.end()
        return await read(feed)

    assert asyncio.run(main()) == [Output("stdout", "ab"), Output("stderr", "c"), Output("stdout", "de")]


def test_a_feed_is_bounded_whatever_the_turns_of_its_streams() -> None:
    async def main() -> list[Event]:
        feed = EventFeed(asyncio.get_running_loop())
        for number in range(10_000):
            feed.put(Output("stderr" if number % 2 else "stdout", str(number % 10)))
        feed.end()
        return await read(feed)

    events = asyncio.run(main())
    assert len(events) <= 1_000
    for stream, digits in (("stdout", "02468"), ("stderr", "13579")):
        texts = [event.text for event in events if isinstance(event, Output) and event.stream == stream]
        assert "".join(texts) == digits * 1_000


def test_a_feed_wakes_its_reader_once_for_many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        woken: list[object] = []
        monkeypatch.setattr(loop, "call_soon_threadsafe", woken.append)
        feed = EventFeed(loop)
        for number in range(100):
            feed.put(Output("stdout", str(number)))
        monkeypatch.undo()
        return len(woken)

    assert asyncio.run(main()) == 1


def test_a_feed_filled_from_another_thread() -> None:
    async def main() -> str:
        feed = EventFeed(asyncio.get_running_loop())

        def fill() -> None:
            for number in range(2_000):
                feed.put(Output("stdout", f"{number} "))
            loop.call_soon_threadsafe(feed.end)

        loop = asyncio.get_running_loop()
        threading.Thread(target=fill).start()
        return "".join(event.text for event in await read(feed) if isinstance(event, Output))

    assert asyncio.run(main()) == "".join(f"{number} " for number in range(2_000))
