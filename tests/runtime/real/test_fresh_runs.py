"""Fresh runs in guests that are kept ready: nothing is left of one run in the next, whatever ran."""
# pyright: reportPrivateUsage=false

import gc
import random
import threading
import weakref
from typing import Any

import pytest

from cloche import Limits, Sandbox, ToolRegistry, tool
from cloche.runtime.errors import GuestException
from cloche.runtime.session import express
from cloche.runtime.threads import guest_threads
from cloche.runtime.wasm import native

pytestmark = pytest.mark.skipif(native.host is None, reason="there is no extension here")


def ready_guests() -> list[Any]:
    """The guests that are kept for fresh runs, of all sandboxes."""
    return list(express._ready.values())


@pytest.fixture(autouse=True)
def no_thread_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a tool of an earlier test still blocks a thread, runs are made in Python, and no guest is kept."""
    monkeypatch.setattr(guest_threads, "left_behind", set())


@pytest.fixture
def no_ready_guests(no_thread_left_behind: None) -> None:
    # The first run in a while wakes the watch, and so is none of C's.
    Sandbox().run("x = 1")
    drop_ready_guests()


def make_ready(sandbox: Sandbox) -> None:
    """Run programs until a guest is kept: where the watch is just looking, a run is not C's."""
    for _ in range(10_000):
        if any(number == sandbox._fresh._number for number, _ in express._ready):
            return
        assert sandbox.run("x = 1").ok
    pytest.fail("no run was made in C")


def drop_ready_guests() -> None:
    for place in list(express._ready):
        express._ready.pop(place).close()


@pytest.mark.usefixtures("no_ready_guests")
def test_a_fresh_run_finds_nothing_of_those_before_it() -> None:
    """The whole memory is compared: what is kept ready is as the image left it, whatever ran before."""
    sandbox, chance = Sandbox(), random.Random(3)
    programs = ["x = 1", "d = {i: [i] for i in range(300)}", "def f(n): return n and f(n - 1)\nf(200)", "len('abc')"]
    for _ in range(8):
        for _ in range(12):
            assert sandbox.run(chance.choice(programs)).ok
        for ready in ready_guests():
            machine = ready.express.machine
            assert bytes(machine.view()) == bytes(ready.guest.source.pristine())
            assert machine.stack_pointer == ready.guest.source.template.pristine.stack_pointer()
            # To be read as a whole has given it pages of its own.
            drop_ready_guests()
    assert sandbox.run("x").error is not None


@pytest.mark.usefixtures("no_ready_guests")
def test_a_fresh_run_uses_what_the_first_one_used() -> None:
    sandbox = Sandbox()
    used = [sandbox.run("n = 5\nn * 2") for _ in range(5)]
    assert {(each.usage.fuel, each.usage.memory_peak, each.value) for each in used[1:]} == {
        (used[0].usage.fuel, used[0].usage.memory_peak, 10)
    }
    with sandbox.session() as session:
        assert session.run("n = 5\nn * 2").usage.fuel == used[0].usage.fuel


@pytest.mark.usefixtures("no_ready_guests")
@pytest.mark.parametrize("program", ["1 / 0", "'x' * 1_000", "while True: pass", "syntax error"])
def test_a_guest_whose_run_was_not_usual_is_not_kept(program: str) -> None:
    sandbox = Sandbox(limits=Limits(fuel=50_000_000))
    make_ready(sandbox)
    assert len(ready_guests()) == 1
    first = sandbox.run(program)
    assert not ready_guests()
    again = sandbox.run(program)
    assert (repr(again.error), again.value, again.stdout) == (repr(first.error), first.value, first.stdout)


@pytest.mark.usefixtures("no_ready_guests")
def test_a_guest_that_has_grown_is_not_kept() -> None:
    assert Sandbox().run("x = bytearray(8_000_000)\nlen(x)").value == 8_000_000
    assert not ready_guests()


@pytest.mark.usefixtures("no_ready_guests")
def test_few_guests_are_kept_and_none_of_a_sandbox_that_is_gone() -> None:
    sandboxes = [Sandbox() for _ in range(express.MAX_READY + 3)]
    for number in range(len(sandboxes)):
        make_ready(sandboxes[number])
    assert len(ready_guests()) == express.MAX_READY
    sandboxes.clear()
    assert not ready_guests()


@pytest.mark.usefixtures("no_ready_guests")
def test_threads_have_guests_of_their_own() -> None:
    sandbox, seen = Sandbox(), list[Any]()

    def work() -> None:
        seen.extend(sandbox.run(f"x = {number}\nx").value for number in range(20))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == sorted([*range(20)] * 6)
    assert len(ready_guests()) <= express.MAX_READY


@pytest.mark.usefixtures("no_ready_guests")
def test_a_tool_may_run_the_sandbox_that_calls_it() -> None:
    registry = ToolRegistry()
    sandbox = Sandbox(tools=registry)
    sandbox.run("x = 1")

    @registry.add
    @tool(blocking=False)
    def again(n: int) -> int:
        """Run once more."""
        return sandbox.run("x").error is not None and n + 1

    assert sandbox.run("again(1)").value == 2
    del registry["again"]
    assert isinstance(sandbox.run("again(1)").error, GuestException)
    assert sandbox.run("x = 2\nx").value == 2


class Weak(dict[str, int]):
    """A value of the host's that can be watched."""


@pytest.mark.usefixtures("no_ready_guests")
def test_a_guest_that_was_served_is_kept_and_nothing_of_its_run() -> None:
    values: list[weakref.ref[Weak]] = []

    @tool(blocking=False)
    def look_up() -> dict[str, int]:
        """Return something."""
        value = Weak(n=1)
        values.append(weakref.ref(value))
        return value

    sandbox = Sandbox(tools=[look_up])
    make_ready(sandbox)
    result = sandbox.run("print('out')\nlook_up()['n']")
    assert (result.value, result.stdout, result.usage.calls, result.usage.output_bytes) == (1, "out\n", 1, 4)
    assert [record.value for record in result.calls] == [{"n": 1}]
    assert len(ready_guests()) == 1
    del result
    gc.collect()
    assert values[0]() is None
    # The guest has to be told of the tools once more.
    assert sandbox.run("look_up()['n']").value == 1


@pytest.mark.usefixtures("no_ready_guests")
def test_a_fresh_run_knows_the_tools_of_its_moment() -> None:
    registry = ToolRegistry()
    sandbox = Sandbox(tools=registry)
    make_ready(sandbox)
    for number in range(4):
        registry[f"tool_{number}"] = tool(blocking=False)(lambda: 5)
        assert sandbox.run(f"tool_{number}()").value == 5
        assert sandbox.run("tool_0()").value == 5
        assert isinstance(sandbox.run("tool_9()").error, GuestException)
