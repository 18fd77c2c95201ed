"""Deadlines, interrupts and signals: what ends a guest that computes for ever."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest
from tests.signals import send_within

from cloche.runtime.machine_api import StopSignal
from cloche.runtime.wasm import deadlines
from cloche.runtime.wasm.deadlines import Control
from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.machine import WasmMachine
from cloche.runtime.wasm.traps import StopKind, Stopped

from .toy import FakeHandlers, Maker, Toy, answer, deed

# Long enough for a slow test machine; only a guest that is never stopped comes near it.
PATIENCE = 20.0


@pytest.fixture(params=["fuel", "engine", "epoch"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine.shared(request.param)


def interrupt(machine: WasmMachine, reason: BaseException) -> None:
    machine.stop.set(reason)
    machine.wake()


def in_thread(machine: WasmMachine, request: bytes) -> tuple[threading.Thread, list[BaseException]]:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            machine.step(request)
        except BaseException as error:
            caught.append(error)

    # A guest that never ends must fail its test, not keep the process from ending.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, caught


@pytest.mark.parametrize("loop", [Toy.LOOP, Toy.TIGHT_LOOP])
def test_a_deadline_ends_an_endless_loop(machine: WasmMachine, loop: Toy) -> None:
    started = time.monotonic()
    machine.allow(None, StopSignal.within(0.05))
    with pytest.raises(Stopped) as caught:
        machine.step(deed(loop))
    assert caught.value.kind is StopKind.TIME
    assert machine.stopped is caught.value
    assert 0.05 <= time.monotonic() - started < PATIENCE


def test_a_deadline_on_another_thread(machine: WasmMachine) -> None:
    machine.allow(None, StopSignal.within(0.05))
    thread, caught = in_thread(machine, deed(Toy.LOOP))
    thread.join(PATIENCE)
    assert isinstance(caught[0], Stopped)
    assert caught[0].kind is StopKind.TIME


def test_a_deadline_that_passed_before_the_step(machine: WasmMachine, handlers: FakeHandlers) -> None:
    machine.allow(None, StopSignal.within(0))
    with pytest.raises(Stopped) as caught:
        machine.step(deed(Toy.WRITE, 1, 0, 1))
    assert caught.value.kind is StopKind.TIME
    assert handlers.written == []


def test_a_deadline_that_passed_during_a_handler(machine: WasmMachine, handlers: FakeHandlers) -> None:
    def sleep(frame: bytes) -> bytes:
        time.sleep(0.05)
        return frame

    handlers.on_call = sleep
    machine.allow(None, StopSignal.within(0.01))
    with pytest.raises(Stopped) as caught:
        machine.step(deed(Toy.CALL_MANY, 10_000))
    assert caught.value.kind is StopKind.TIME


def test_a_deadline_holds_over_several_steps_until_it_is_lifted(machine: WasmMachine) -> None:
    machine.allow(None, StopSignal.within(PATIENCE))
    for _ in range(3):
        machine.step(deed(Toy.ECHO))
    machine.allow(None, StopSignal.within(0))
    machine.allow(None, StopSignal.within(None))
    machine.step(deed(Toy.ECHO))


def test_a_deadline_set_while_the_guest_runs(machine: WasmMachine) -> None:
    thread, caught = in_thread(machine, deed(Toy.LOOP))
    time.sleep(0.02)
    machine.allow(None, StopSignal.within(0.02))
    thread.join(PATIENCE)
    assert isinstance(caught[0], Stopped)
    assert caught[0].kind is StopKind.TIME


def test_deadlines_of_many_guests_at_once(make: Maker, checked: bool) -> None:
    if checked:
        pytest.skip("these guests are for one thread at a time")
    machines = [make() for _ in range(8)]
    started = time.monotonic()
    for number, machine in enumerate(machines):
        machine.allow(None, StopSignal.within(0.02 * (number + 1)))
    runs = [in_thread(machine, deed(Toy.LOOP)) for machine in machines]
    for thread, caught in runs:
        thread.join(PATIENCE)
        assert isinstance(caught[0], Stopped)
        assert caught[0].kind is StopKind.TIME
    assert time.monotonic() - started >= 0.16


class SlowLook:
    """Lets a guest look whether it must end, and continue from what it saw only when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked, self.go_on = threading.Event(), threading.Event()
        self._may_continue = deadlines._may_continue  # pyright: ignore[reportPrivateUsage]
        monkeypatch.setattr(deadlines, "_may_continue", self)

    def await_look(self, machine: WasmMachine) -> None:
        """Have the guest look, once it runs, and wait until it does."""
        give_up = time.monotonic() + PATIENCE
        while not self.looked.wait(0.01):
            assert time.monotonic() < give_up
            machine.engine.bump()

    def __call__(self, control: Control) -> bool:
        seen = self._may_continue(control)
        self.looked.set()
        self.go_on.wait(PATIENCE)
        return seen


def test_a_deadline_that_passes_while_the_guest_looks(machine: WasmMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowLook(monkeypatch)
    machine.allow(None, StopSignal.within(0.1))
    thread, caught = in_thread(machine, deed(Toy.LOOP))
    slow.await_look(machine)
    time.sleep(0.15)
    slow.go_on.set()
    thread.join(PATIENCE)
    assert isinstance(caught[0], Stopped)
    assert caught[0].kind is StopKind.TIME


def test_an_interrupt_that_comes_while_the_guest_looks(machine: WasmMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowLook(monkeypatch)
    thread, caught = in_thread(machine, deed(Toy.LOOP))
    slow.await_look(machine)
    interrupt(machine, RuntimeError("now"))
    slow.go_on.set()
    thread.join(PATIENCE)
    assert isinstance(caught[0], Stopped)
    assert caught[0].kind is StopKind.INTERRUPTED


def test_an_interrupt_carries_its_reason(machine: WasmMachine) -> None:
    thread, caught = in_thread(machine, deed(Toy.LOOP))
    time.sleep(0.02)
    reason = RuntimeError("cancelled")
    interrupt(machine, reason)
    thread.join(PATIENCE)
    assert isinstance(caught[0], Stopped)
    assert caught[0].kind is StopKind.INTERRUPTED
    assert caught[0].reason is machine.stopped is reason


def test_an_interrupt_ends_only_its_own_guest(make: Maker, checked: bool) -> None:
    if checked:
        pytest.skip("these guests are for one thread at a time")
    victim, neighbour = make(), make()
    thread, caught = in_thread(victim, deed(Toy.LOOP))
    other, spared = in_thread(neighbour, deed(Toy.CALL_MANY, 50_000))
    interrupt(victim, RuntimeError("you"))
    thread.join(PATIENCE)
    other.join(PATIENCE)
    assert len(caught) == 1
    assert spared == []
    assert not neighbour.dead


def test_an_interrupt_before_the_step(machine: WasmMachine) -> None:
    interrupt(machine, RuntimeError("early"))
    with pytest.raises(Stopped) as caught:
        machine.step(deed(Toy.ECHO))
    assert str(caught.value.reason) == "early"


def test_an_interrupt_that_comes_too_late_ends_nothing_else(machine: WasmMachine) -> None:
    interrupt(machine, RuntimeError("late"))
    machine.allow(None, StopSignal())
    assert machine.step(deed(Toy.ECHO)) == deed(Toy.ECHO)


def test_the_first_interrupt_wins(machine: WasmMachine) -> None:
    first = RuntimeError("first")
    interrupt(machine, first)
    interrupt(machine, RuntimeError("second"))
    with pytest.raises(Stopped):
        machine.step(deed(Toy.ECHO))
    assert machine.stopped is first


def test_a_thread_that_never_releases_the_lock_by_itself_still_lets_a_guest_end(machine: WasmMachine) -> None:
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    spinner = threading.Thread(target=spin)
    spinner.start()
    try:
        machine.allow(None, StopSignal.within(0.05))
        with pytest.raises(Stopped):
            machine.step(deed(Toy.LOOP))
    finally:
        stop.set()
        spinner.join()


class Signalled(BaseException):
    """What the test's signal handler raises."""


@pytest.fixture
def raising_handler() -> Iterator[list[int]]:
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise Signalled

    before = signal.signal(signal.SIGINT, handle)
    yield seen
    assert signal.getsignal(signal.SIGINT) is handle
    signal.signal(signal.SIGINT, before)


posix = pytest.mark.skipif(os.name != "posix", reason="sends itself POSIX signals")


@posix
def test_ctrl_c_ends_a_computing_guest(machine: WasmMachine, raising_handler: list[int]) -> None:
    send_within(signal.SIGINT)
    with pytest.raises(Stopped) as caught:
        machine.step(deed(Toy.LOOP))
    assert isinstance(caught.value.reason, Signalled)
    assert raising_handler == [signal.SIGINT]


@posix
def test_ctrl_c_during_a_handler_interrupts_the_handler(
    machine: WasmMachine, handlers: FakeHandlers, raising_handler: list[int]
) -> None:
    def sleep(frame: bytes) -> bytes:
        send_within(signal.SIGINT)
        time.sleep(PATIENCE)
        return frame

    handlers.on_call = sleep
    started = time.monotonic()
    with pytest.raises(Stopped) as caught:
        machine.step(deed(Toy.CALL, 0, 0, 0, 0))
    assert isinstance(caught.value.reason, Signalled)
    assert time.monotonic() - started < PATIENCE


class Finalized:
    """Ctrl-C comes while the garbage collector is at it."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@posix
def test_ctrl_c_during_a_finalizer_is_not_dropped(
    machine: WasmMachine, handlers: FakeHandlers, raising_handler: list[int]
) -> None:
    garbage = [Finalized()]

    def collect(frame: bytes) -> bytes:
        garbage.clear()
        return frame

    handlers.on_call = collect
    with pytest.raises(Stopped) as caught:
        machine.step(deed(Toy.CALL_MANY, -1))
    assert isinstance(caught.value.reason, Signalled)


@posix
def test_ctrl_c_in_the_middle_of_many_callbacks(make: Maker, raising_handler: list[int]) -> None:
    for _ in range(10):
        machine = make()
        send_within(signal.SIGINT)
        with pytest.raises(Stopped) as caught:
            machine.step(deed(Toy.CALL_MANY, -1))
        assert isinstance(caught.value.reason, Signalled)


@posix
def test_a_handler_that_does_not_raise_leaves_the_guest_alone(machine: WasmMachine) -> None:
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        machine.allow(None, StopSignal.within(0.05))

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        send_within(signal.SIGUSR1)
        with pytest.raises(Stopped) as caught:
            machine.step(deed(Toy.LOOP))
        assert caught.value.kind is StopKind.TIME
        assert seen == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


@posix
def test_a_handler_that_a_tool_installs_stays(machine: WasmMachine, handlers: FakeHandlers) -> None:
    before = signal.getsignal(signal.SIGINT)

    def install(frame: bytes) -> bytes:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return frame

    handlers.on_call = install
    try:
        assert answer(machine.step(deed(Toy.CALL, 0, 0, 0, 0))) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
