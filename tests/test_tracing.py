"""The tracer that holds the journeys' lengths."""

import threading
from collections.abc import Callable

from tests.tracing import Tracer

from cloche import Limits


def _on_a_thread(action: Callable[[], object]) -> None:
    thread = threading.Thread(target=action)
    thread.start()
    thread.join()


def _limits() -> None:
    Limits()


def _limits_twice() -> None:
    Limits()
    Limits()


def test_calls_of_this_thread_and_of_new_ones_are_counted() -> None:
    with Tracer() as tracer:
        here = tracer.journey(_limits)
        there = tracer.journey(lambda: _on_a_thread(_limits))
    assert "cloche.runtime.limits" in here.modules
    assert here.modules == there.modules
    assert there.functions > here.functions > 0
    assert there.beyond(here).modules == []


def test_what_one_more_call_takes() -> None:
    with Tracer() as tracer:
        once = tracer.journey(_limits)
        twice = tracer.journey(_limits_twice)
    assert twice.beyond(once) == once
    assert once.beyond(once).functions == 0
