"""The host's end of the bridge: calls, background calls, waits and sleeps, within one run's limits."""

import asyncio
import inspect
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloche.runtime.bridge.environment import Environment, FuelClock
from cloche.runtime.bridge.handlers import BridgeHandlers
from cloche.runtime.bridge.host_memory import HostMemory
from cloche.runtime.bridge.run_state import RunState
from cloche.runtime.bridge.transcript import Tape
from cloche.runtime.dispatch import NoTools, UnknownTool
from cloche.runtime.errors import (
    CallsExceeded,
    GuestVisibleError,
    Interrupted,
    OutputExceeded,
    ProtocolError,
    TimeExceeded,
)
from cloche.runtime.limits import Limits
from cloche.runtime.machine_api import StopRun
from cloche.runtime.result import Event, ToolFinished, ToolStarted
from cloche.runtime.values import decode, encode
from cloche.runtime.work import WorkEnded

PATIENCE = 60.0


class Tools(NoTools):
    """Tools by name; those whose names begin with ``a`` are coroutine functions."""

    def __init__(self) -> None:
        self.functions: dict[str, Callable[..., Any]] = {}

    def is_async(self, name: str) -> bool:
        return inspect.iscoroutinefunction(self._find(name))

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self._find(name)(*args, **kwargs)

    def _find(self, name: str) -> Callable[..., Any]:
        if name not in self.functions:
            raise UnknownTool(name)
        return self.functions[name]


class Bridge:
    """A host in a run, spoken to in frames."""

    def __init__(self, limits: Limits | None = None, clock: FuelClock | None = None) -> None:
        self.tools = Tools()
        self.events: list[Event] = []
        self.tape = Tape()
        self.host = BridgeHandlers(self.tools, Environment(None, clock), self.tape)
        self.run = RunState(limits or Limits(time=PATIENCE), self.events.append)
        self.host.begin(self.run, None)

    def send(self, *frame: Any) -> Any:
        return decode(self.host.call(encode(list(frame))))

    def ends(self, *frame: Any) -> BaseException:
        with pytest.raises(StopRun) as caught:
            self.send(*frame)
        return caught.value.reason


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge()
    yield bridge
    bridge.host.end()


async def a_echo(value: Any) -> Any:
    await asyncio.sleep(0.001)
    return value


async def a_forever() -> None:
    await asyncio.Event().wait()


def echo(value: Any) -> Any:
    return value


def test_a_call(bridge: Bridge) -> None:
    bridge.tools.functions = {"echo": echo, "a_echo": a_echo}
    assert bridge.send(0, "echo", [5], {}) == [0, 5]
    assert bridge.send(0, "echo", [], {"value": (1,)}) == [0, (1,)]
    assert bridge.send(0, "a_echo", [6], {}) == [0, 6]
    assert [call.outcome for call in bridge.run.calls] == ["returned"] * 3
    assert [type(event) for event in bridge.events] == [ToolStarted, ToolFinished] * 3
    assert bridge.run.doing == ""


def test_work_on_a_message_that_is_ended_by_the_time_ends_the_run(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(self: HostMemory) -> None:
        bridge.run.stop.deadline = 0.0
        raise WorkEnded

    monkeypatch.setattr(HostMemory, "look", late)
    assert isinstance(bridge.ends(0, "missing", [[[]] * 50_000], {}), TimeExceeded)


def test_a_call_of_what_is_not_there(bridge: Bridge) -> None:
    assert bridge.send(0, "missing", [], {}) == [1, "NameError", "no tool is named 'missing'"]
    assert bridge.send(1, 1, "missing", [], {})[:2] == [1, "NameError"]


class ForTheGuest(GuestVisibleError):
    guest_type = "ValueError"

    def __str__(self) -> str:
        return "for the guest"


class Empty(Exception):
    """An exception whose class counts what it holds, so that it passes for false."""

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (ValueError("v"), ["ValueError", "v"]),
        (Empty("e"), ["Empty", "e"]),
        (ForTheGuest("for the host"), ["ValueError", "for the guest"]),
        (FileNotFoundError(2, "No such file", "/host/path"), ["FileNotFoundError", "No such file"]),
        (PermissionError("ask the owner first"), ["PermissionError", "ask the owner first"]),
        (shutil.SameFileError("'/host/a' and '/host/b' are the same file"), ["SameFileError", ""]),
        (SystemExit(3), ["SystemExit", "3"]),
        (KeyboardInterrupt(), ["KeyboardInterrupt", ""]),
        (GeneratorExit("g"), ["GeneratorExit", "g"]),
    ],
)
def test_what_a_tool_raises(bridge: Bridge, error: BaseException, seen: list[str]) -> None:
    def fail() -> None:
        raise error

    bridge.tools.functions = {"fail": fail}
    assert bridge.send(0, "fail", [], {}) == [1, *seen]
    assert bridge.run.calls[0].error is error


def test_messages_are_cut() -> None:
    def fail() -> None:
        raise ValueError("x" * 1_000)

    bridge = Bridge(Limits(message=64))
    bridge.tools.functions = {"fail": fail}
    assert bridge.send(0, "fail", [], {}) == [1, "ValueError", "x" * 64]


def test_values_that_cannot_cross(bridge: Bridge) -> None:
    bridge.tools.functions = {"get": object, "big": lambda: "x" * (5 << 20)}
    kind, name, message = bridge.send(0, "get", [], {})
    assert (kind, name) == (1, "TypeError")
    assert message.startswith("the tool 'get' returned a value that cannot be sent: result: cannot send a 'object'")
    assert bridge.send(0, "big", [], {})[:2] == [1, "ValueError"]


def test_too_many_calls() -> None:
    bridge = Bridge(Limits(calls=2))
    bridge.tools.functions = {"echo": echo}
    for _ in range(2):
        bridge.send(0, "echo", [1], {})
    error = bridge.ends(0, "echo", [1], {})
    assert isinstance(error, CallsExceeded)
    assert (error.used, error.limit) == (3, 2)
    assert bridge.ends(4, 0) is error


def test_arguments_that_are_too_large() -> None:
    bridge = Bridge(Limits(argument=1_000))
    bridge.tools.functions = {"echo": echo}
    assert bridge.send(0, "echo", ["x" * 900], {})[0] == 0
    kind, name, message = bridge.send(0, "echo", ["x" * 6_000], {})
    assert (kind, name) == (1, "ValueError")
    assert "the limit is 1000" in message
    assert len(bridge.run.calls) == 1


def test_a_forged_frame_ends_the_run(bridge: Bridge) -> None:
    with pytest.raises(StopRun) as caught:
        bridge.host.call(b"\xc1")
    assert isinstance(caught.value.reason, ProtocolError)
    assert bridge.ends(0, "echo", [], {}) is caught.value.reason


def test_background_calls(bridge: Bridge) -> None:
    bridge.tools.functions = {"echo": echo, "a_echo": a_echo}
    assert bridge.send(1, 10, "a_echo", ["ten"], {}) == [0, None]
    assert bridge.send(1, 11, "echo", ["eleven"], {}) == [0, None]
    finished: list[Any] = []
    while len(finished) < 2:
        finished += bridge.send(2, None)[1]
    assert sorted(finished) == [[10, 0, "ten"], [11, 0, "eleven"]]
    assert bridge.send(2, None) == [0, []]
    assert bridge.send(2, 0) == [0, []]


def test_an_id_that_is_taken(bridge: Bridge) -> None:
    bridge.tools.functions = {"a_forever": a_forever}
    bridge.send(1, 1, "a_forever", [], {})
    assert bridge.send(1, 1, "a_forever", [], {})[:2] == [1, "ValueError"]
    bridge.send(3, 1)
    assert bridge.send(1, 1, "a_forever", [], {}) == [0, None]


def test_too_many_pending() -> None:
    bridge = Bridge(Limits(pending=2))
    bridge.tools.functions = {"a_forever": a_forever}
    for number in range(2):
        assert bridge.send(1, number, "a_forever", [], {}) == [0, None]
    assert bridge.send(1, 2, "a_forever", [], {})[:2] == [1, "RuntimeError"]
    bridge.send(3, 0)
    assert bridge.send(1, 2, "a_forever", [], {}) == [0, None]
    bridge.host.end()
    assert [call.outcome for call in bridge.run.calls] == ["cancelled"] * 3


def test_a_cancelled_call_is_never_heard_of_again(bridge: Bridge) -> None:
    ended = threading.Event()

    async def a_slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    bridge.tools.functions = {"a_slow": a_slow}
    bridge.send(1, 1, "a_slow", [], {})
    assert bridge.send(2, 0.01) == [0, []]
    assert bridge.send(3, 1) == [0, None]
    assert ended.wait(PATIENCE)
    assert bridge.send(2, 0.01) == [0, []]
    assert bridge.send(3, 1) == [0, None]
    assert bridge.send(3, 99) == [0, None]


def test_more_plain_tools_than_threads(bridge: Bridge) -> None:
    bridge.tools.functions = {"echo": echo}
    for number in range(100):
        bridge.send(1, number, "echo", [number], {})
    finished: list[Any] = []
    while len(finished) < 100:
        finished += bridge.send(2, None)[1]
    assert sorted(finished) == [[number, 0, number] for number in range(100)]


def test_a_wait_that_is_over(bridge: Bridge) -> None:
    bridge.tools.functions = {"a_forever": a_forever}
    bridge.send(1, 1, "a_forever", [], {})
    started = time.monotonic()
    assert bridge.send(2, 0.05) == [0, []]
    assert time.monotonic() - started >= 0.05


def test_a_sleep_takes_its_time(bridge: Bridge) -> None:
    started = time.monotonic()
    assert bridge.send(4, 0.05) == [0, None]
    assert time.monotonic() - started >= 0.05


@pytest.mark.parametrize("seconds", [1e9, 1e300, float("inf"), 1 << 62])
def test_endless_sleeps_and_waits_end_at_the_deadline(seconds: float) -> None:
    for frame in ([4, seconds], [2, seconds]):
        error = Bridge(Limits(time=0.05)).ends(*frame)
        assert isinstance(error, TimeExceeded)
        assert error.used >= error.limit == 0.05


def test_a_clock_of_its_own_sleeps_in_no_time() -> None:
    bridge = Bridge(clock=FuelClock(100, rate=0))
    assert bridge.host.clock(0) == 100 * 10**9
    bridge.send(4, 3600)
    bridge.send(2, 400.5)
    assert bridge.host.clock(0) // 10**9 == 100 + 4000
    assert bridge.host.clock(1) >= bridge.host.clock(0) - 1


def test_a_coroutine_that_never_ends_is_cancelled_at_the_deadline() -> None:
    bridge = Bridge(Limits(time=0.05))
    bridge.tools.functions = {"a_forever": a_forever}
    error = bridge.ends(0, "a_forever", [], {})
    assert isinstance(error, TimeExceeded)
    assert error.doing == "the tool 'a_forever'"


def test_an_interrupt_wakes_a_sleep(bridge: Bridge) -> None:
    reason = Interrupted()
    threading.Timer(0.05, bridge.run.interrupt, [reason]).start()
    assert bridge.ends(4, 1e6) is reason
    assert bridge.ends(2, None) is reason


def test_output_is_kept_and_bounded() -> None:
    bridge = Bridge(Limits(output=10))
    bridge.host.write(1, b"12345")
    bridge.host.write(2, b"1234567890")
    with pytest.raises(StopRun) as caught:
        bridge.host.write(1, b"678901")
    error = caught.value.reason
    assert isinstance(error, OutputExceeded)
    assert (error.stream, error.used, error.limit) == ("stdout", 11, 10)
    assert (bridge.run.stdout.text(), bridge.run.stderr.text()) == ("1234567890", "1234567890")


def test_a_listener_that_raises_ends_the_run() -> None:
    bridge = Bridge()
    error = LookupError("the listener's")

    def fail(event: Event) -> None:
        raise error

    bridge.run.listener = fail
    bridge.tools.functions = {"echo": echo}
    assert bridge.ends(0, "echo", [1], {}) is error


def test_records_let_go_of_large_values(bridge: Bridge) -> None:
    bridge.tools.functions = {"echo": len}
    for _ in range(25):
        bridge.send(0, "echo", [b"x" * (3 << 20)], {})
    kept = sum(len(call.args[0]) for call in bridge.run.calls if call.args)
    assert kept <= 66 << 20
    assert len(bridge.run.calls) == 25
