"""The watch sleeps while nothing runs, and bumps in time."""

import threading
import time

from cloche.runtime.wasm import watch as watch_module
from cloche.runtime.wasm.control import Control
from cloche.runtime.wasm.watch import Watch


class Bumps:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.first = threading.Event()

    def __call__(self) -> None:
        self.times.append(time.monotonic())
        self.first.set()


def watch_threads() -> int:
    return sum(thread.name == "cloche-watch" for thread in threading.enumerate())


def test_no_thread_before_the_first_deadline() -> None:
    before = watch_threads()
    watch = Watch(Bumps())
    control = Control()
    watch.enter(control)
    watch.leave(control)
    assert watch_threads() == before
    assert watch.running() == 0


def test_one_bump_at_the_deadline_and_none_after_it() -> None:
    bumps = Bumps()
    watch = Watch(bumps)
    control = Control()
    control.set_deadline(0.05)
    watch.enter(control)
    assert bumps.first.wait(60)
    assert bumps.times[0] >= control.deadline
    time.sleep(0.15)
    assert len(bumps.times) == 1
    watch.leave(control)


def test_an_earlier_deadline_overtakes_a_later_one() -> None:
    bumps = Bumps()
    watch = Watch(bumps)
    late, early = Control(), Control()
    late.set_deadline(600)
    early.set_deadline(0.05)
    watch.enter(late)
    time.sleep(0.02)
    watch.enter(early)
    assert bumps.first.wait(60)


def test_a_guest_on_the_main_thread_looks_often() -> None:
    bumps = Bumps()
    watch = Watch(bumps)
    control = Control()
    control.on_main = True
    watch.enter(control)
    assert bumps.first.wait(60)
    watch.leave(control)


def test_the_thread_ends_when_nothing_runs_and_starts_again() -> None:
    bumps = Bumps()
    watch = Watch(bumps)
    linger, watch_module._LINGER = watch_module._LINGER, 0.01  # pyright: ignore[reportPrivateUsage]
    try:
        for _ in range(3):
            bumps.first.clear()
            control = Control()
            control.set_deadline(0.01)
            watch.enter(control)
            assert bumps.first.wait(60)
            watch.leave(control)
            deadline = time.monotonic() + 60
            while watch._thread is not None and time.monotonic() < deadline:  # pyright: ignore[reportPrivateUsage]
                time.sleep(0.005)
            assert watch._thread is None  # pyright: ignore[reportPrivateUsage]
    finally:
        watch_module._LINGER = linger  # pyright: ignore[reportPrivateUsage]


def test_runs_from_many_threads_are_all_bumped() -> None:
    bumps = Bumps()
    watch = Watch(bumps)

    def run() -> None:
        for _ in range(20):
            control = Control()
            control.set_deadline(0.003)
            watch.enter(control)
            give_up = time.monotonic() + 60
            while not control.fired and time.monotonic() < give_up:
                time.sleep(0.001)
            assert control.fired
            watch.leave(control)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert watch.running() == 0
