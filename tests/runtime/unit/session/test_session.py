"""A session over a machine that is none: whose fault is whose, what is kept, and what is told to the guest."""

import asyncio
import math
import threading
import time
from typing import Any

import pytest

from cloche.runtime import errors
from cloche.runtime.dispatch import NoTools
from cloche.runtime.errors import (
    ConfigurationError,
    FuelExhausted,
    GuestCrashed,
    GuestError,
    GuestException,
    ImageError,
    Interrupted,
    MemoryExceeded,
    OutputExceeded,
    ProtocolError,
    ResultTooLarge,
    SessionBusy,
    SessionClosed,
    StackOverflow,
    TimeExceeded,
    UnserializableValue,
)
from cloche.runtime.limits import Limits
from cloche.runtime.machine_api import now
from cloche.runtime.sandbox import Sandbox

from .fake import FakeSource


class Numbers(NoTools):
    """One tool, ``add``, and a version that the test can change."""

    def __init__(self) -> None:
        self.number = 1
        self.calls = 0

    def version(self) -> int:
        return self.number

    def specs(self) -> list[Any]:
        return [{"name": "add", "params": [], "returns": "", "doc": "", "async": False}]

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self.calls += 1
        return sum(map(int, args))


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def box(source: FakeSource) -> Sandbox:
    return Sandbox(tools=Numbers(), source=source)


def test_the_guest_is_told_only_what_is_new(source: FakeSource) -> None:
    tools = Numbers()
    with Sandbox(tools=tools, source=source).session() as session:
        for code in ("pass", "pass"):
            session.run(code).unwrap()
        tools.number += 1
        session.run("pass").unwrap()
        session.run("pass", limits=Limits(message=100)).unwrap()
        session.run("pass").unwrap()
    told = [sorted(frame[3]) for frame in source.machines[0].requests]
    assert told == [["limits", "tools"], [], ["tools"], ["limits"], ["limits"]]


def test_what_the_image_knows_is_not_sent(source: FakeSource) -> None:
    source.caps = Limits().guest_caps()
    with Sandbox(source=source).session() as session:
        session.run("pass").unwrap()
        session.run("pass", limits=Limits(message=100)).unwrap()
        session.set("a", 1)
    assert [frame[3] for frame in source.machines[0].requests[:2]] == [{}, {"limits": Limits(message=100).guest_caps()}]
    assert [frame[0] for frame in source.machines[0].requests[2:]] == [9, 4]


def test_a_variable_before_the_first_run_brings_the_limits(source: FakeSource, box: Sandbox) -> None:
    with box.session() as session:
        session.set("a", 1)
        assert session.get("a") == 1
        session.run("pass")
    assert [frame[0] for frame in source.machines[0].requests] == [9, 4, 5, 1]
    assert sorted(source.machines[0].requests[-1][3]) == ["tools"]


ENDS: dict[str, tuple[str, type[GuestError], bool]] = {
    "fuel": ("trap FUEL", FuelExhausted, True),
    "time": ("trap TIME", TimeExceeded, True),
    "stack": ("trap STACK", StackOverflow, True),
    "crash": ("trap UNREACHABLE", GuestCrashed, True),
    "outside memory": ("trap MEMORY", GuestCrashed, True),
    "unknown": ("trap UNKNOWN", GuestCrashed, True),
    "output": ("print " + "x" * 200, OutputExceeded, True),
    "forged call": ("frame c1", ProtocolError, True),
    "forged answer": ("answer c1", ProtocolError, True),
    "suspended": ("answer 920190", ProtocolError, True),
    "memory": ("raise MemoryError", MemoryExceeded, True),
    "exception": ("raise ValueError", GuestException, False),
    "unserializable": ("unserializable result: no", UnserializableValue, False),
    "too large": ("too_large", ResultTooLarge, False),
}


@pytest.mark.parametrize("name", ENDS)
def test_every_end_has_its_error_and_its_rollback(source: FakeSource, box: Sandbox, name: str) -> None:
    code, kind, lost = ENDS[name]
    with box.session() as session:
        session.run("set a=kept").unwrap()
        result = session.run(code, limits=Limits(output=100))
        assert type(result.error) is kind
        assert result.rolled_back is lost
        assert session.run("get a").unwrap() == "kept"
        assert len(source.machines) == (2 if lost else 1)
        assert source.machines[0].closed is lost


@pytest.mark.parametrize("name", [name for name, (_, _, lost) in ENDS.items() if lost and name != "memory"])
def test_without_rollback_such_an_end_is_the_sessions(source: FakeSource, box: Sandbox, name: str) -> None:
    with box.session(rollback=False) as session:
        assert not session.run(ENDS[name][0], limits=Limits(output=100)).rolled_back
        with pytest.raises(SessionClosed, match="rollback is off"):
            session.run("pass")
    assert source.machines[0].closed


def test_every_stop_kind_has_an_error(box: Sandbox) -> None:
    from cloche.runtime.wasm.traps import StopKind

    for kind in StopKind:
        assert isinstance(box.run(f"trap {kind.name}").error, GuestError)


def test_a_fresh_run_drops_its_machine(source: FakeSource, box: Sandbox) -> None:
    assert box.run("get a").value is None
    assert box.run("raise ValueError").error is not None
    assert [machine.closed for machine in source.machines] == [True, True]


def test_fuel_and_deadline_are_set_for_every_run(source: FakeSource, box: Sandbox) -> None:
    with box.session() as session:
        result = session.run("pass", limits=Limits(fuel=1_000, time=3))
        assert result.usage.fuel == 10
        assert 0 < source.machines[0].stop.deadline - now() <= 3
        session.run("pass", limits=Limits(fuel=None, time=None))
        assert source.machines[0].stop.deadline == math.inf
        assert source.machines[0].fuel > 1 << 60


def test_without_metering_no_fuel_is_counted() -> None:
    assert Sandbox(source=FakeSource(metered=False)).run("pass").usage.fuel is None


def test_output_calls_and_memory_are_accounted(box: Sandbox) -> None:
    with box.session() as session:
        result = session.run("print héllo")
        assert (result.stdout, result.usage.output_bytes) == ("héllo", 6)
        result = session.run("call add,1,2")
        assert (result.value, result.usage.calls, result.calls[0].args) == (3, 1, ["1", "2"])
        assert session.run("grow 100000").usage.memory_peak == 100_000


def test_an_image_that_is_missing_is_the_callers(source: FakeSource, box: Sandbox) -> None:
    session = box.session()
    source.fail = ImageError("no image")
    for _ in range(2):
        with pytest.raises(ImageError):
            session.run("pass")
    source.fail = None
    session.run("pass").unwrap()
    session.close()


def test_a_machine_that_cannot_be_brought_back_ends_the_session(source: FakeSource, box: Sandbox) -> None:
    session = box.session()
    session.run("call add,1,2").unwrap()
    # The first machine's run cannot be repeated: the second one asks for something else.
    session.run("trap FUEL")
    original = FakeSource.new

    def differently(handlers: Any, memory_limit: int) -> Any:
        machine: Any = original(source, handlers, memory_limit)
        machine.step = lambda request, stack_checked=False: b"\x93\x00\xc0\xc0"
        return machine

    source.new = differently  # type: ignore[method-assign]
    with pytest.raises(SessionClosed, match="last good state"):
        session.run("pass")
    with pytest.raises(SessionClosed):
        session.run("pass")


def test_tools_are_not_called_again_by_a_rollback(source: FakeSource) -> None:
    tools = Numbers()
    with Sandbox(tools=tools, source=source).session() as session:
        session.run("call add,1,2").unwrap()
        first = session.run("world").unwrap()
        session.run("set a=1").unwrap()
        session.run("trap FUEL")
        assert session.run("get a").unwrap() == "1"
        assert session.run("world").unwrap() != first
    assert tools.calls == 1
    assert len(source.machines) == 2


def test_output_is_not_repeated_by_a_rollback(box: Sandbox) -> None:
    heard: list[Any] = []
    with box.session() as session:
        session.run("print once", on_event=heard.append)
        session.run("trap FUEL", on_event=heard.append)
        result = session.run("pass", on_event=heard.append)
    assert (len(heard), result.stdout) == (1, "")


def test_memory_that_grew_is_there_after_a_rollback(source: FakeSource, box: Sandbox) -> None:
    with box.session() as session:
        session.run("grow 50000")
        session.run("trap FUEL")
        session.run("pass")
        assert source.machines[1].memory == source.machines[0].memory


def test_memory_of_another_size_is_refused(box: Sandbox) -> None:
    with pytest.raises(ConfigurationError, match="memory"), box.session() as session:
        session.run("pass", limits=Limits(memory="512 MiB"))


@pytest.mark.parametrize("limits", [5, "1", {}, None.__class__])
def test_limits_that_are_none(source: FakeSource, limits: Any) -> None:
    with pytest.raises(ConfigurationError, match="limits"):
        Sandbox(source=source, limits=limits)


def test_a_busy_session_says_so(box: Sandbox) -> None:
    with box.session() as session:
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(session.run("loop")))
        thread.start()
        while session._guest.holder is None:  # pyright: ignore[reportPrivateUsage]
            time.sleep(0.001)
        assert "running" in repr(session)
        with pytest.raises(SessionBusy):
            session.run("pass")
        assert session.interrupt()
        thread.join(60)
        assert isinstance(results[0].error, Interrupted)
        assert session.run("pass").error is None


def test_a_small_stack_takes_another_thread() -> None:
    source = FakeSource(fits=False)
    where: list[str] = []

    class Where(Numbers):
        def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            where.append(threading.current_thread().name)
            return 1

    Sandbox(tools=Where(), source=source).run("call add").unwrap()
    assert where == ["cloche-guest"]


def test_async_twins_do_the_same(source: FakeSource, box: Sandbox) -> None:
    async def main() -> None:
        async with box.session() as session:
            await session.aset("a", [1])
            assert await session.aget("a") == [1]
            assert (await session.arun("call add,2,3")).unwrap() == 5
            result = await session.arun("trap FUEL")
            assert isinstance(result.error, FuelExhausted)
            assert await session.aget("a") == [1]
            with pytest.raises(GuestException):
                await session.aget("b")
            await session.aput_file("f", b"x")

    asyncio.run(main())
    assert [machine.closed for machine in source.machines] == [True, True]


def test_all_errors_are_exported_and_in_one_tree() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.ClocheError)
    assert errors.__all__ == sorted(errors.__all__)
