"""The watch sleeps while nothing runs, and bumps in time."""

import threading
import time
from collections.abc import Callable

from cloche.runtime.machine_api import StopSignal, now
from cloche.runtime.wasm import deadlines as watch_module
from cloche.runtime.wasm.deadlines import Control, Watch


class Bumps:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.first = threading.Event()

    def __call__(self) -> None:
        self.times.append(now())
        self.first.set()


def wait_until(ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < give_up
        time.sleep(0.002)


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


def test_bumps_from_the_deadline_until_the_guest_has_left() -> None:
    bumps = Bumps()
    watch = Watch(bumps)
    control = Control(StopSignal.within(0.05))
    watch.enter(control)
    assert bumps.first.wait(60)
    assert bumps.times[0] >= control.stop.deadline
    # A bump may be lost on a guest that is just looking, so the first one is not the last.
    wait_until(lambda: len(bumps.times) >= 3)
    watch.leave(control)
    heard = len(bumps.times)
    time.sleep(0.15)
    assert len(bumps.times) <= heard + 1


def test_bumps_for_an_interrupted_guest_until_it_has_left() -> None:
    bumps = Bumps()
    watch = Watch(bumps)
    control = Control(StopSignal.within(600))
    watch.enter(control)
    control.stop.set(RuntimeError("end"))
    watch.look(control)
    wait_until(lambda: len(bumps.times) >= 2)
    watch.leave(control)


def test_an_earlier_deadline_overtakes_a_later_one() -> None:
    bumps = Bumps()
    watch = Watch(bumps)
    late, early = Control(StopSignal.within(600)), Control(StopSignal.within(0.05))
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
            control = Control(StopSignal.within(0.01))
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

    def bumped_for(control: Control) -> bool:
        return bool(bumps.times) and bumps.times[-1] >= control.stop.deadline

    def run() -> None:
        for _ in range(20):
            control = Control(StopSignal.within(0.003))
            watch.enter(control)
            give_up = time.monotonic() + 60
            while not bumped_for(control) and time.monotonic() < give_up:
                time.sleep(0.001)
            assert bumped_for(control)
            watch.leave(control)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert watch.running() == 0
