"""Greenlets: patched threads are refused, and a guest never runs on a stack that is copied away."""

import subprocess
import sys
import threading

import pytest

from cloche import ConfigurationError, Sandbox, tool
from cloche.runtime.wasm import stack

greenlet = pytest.importorskip("greenlet")
PATCHED = """
import gevent.monkey
gevent.monkey.patch_all()
from cloche import ConfigurationError, Sandbox
try:
    Sandbox()
except ConfigurationError as error:
    print(error)
"""
PATCHED_LATE = """
from cloche import ConfigurationError, Sandbox
box = Sandbox()
import gevent.monkey
gevent.monkey.patch_all()
try:
    box.run("1")
except ConfigurationError as error:
    print(error)
"""
UNPATCHED = """
import gevent.monkey
gevent.monkey.patch_all(thread=False)
import gevent, time
from cloche import Limits, Sandbox, tool

@tool
def pause(seconds: float) -> float:
    "Wait.\\n\\nArgs:\\n    seconds: How long."
    time.sleep(seconds)
    gevent.sleep(0)
    return seconds

@tool(blocking=False)
def switch(seconds: float) -> float:
    "Let other greenlets run.\\n\\nArgs:\\n    seconds: How long."
    gevent.sleep(seconds)
    return seconds

box = Sandbox(tools=[pause, switch], limits=Limits(time=60))
jobs = [gevent.spawn(box.run, f"pause(0.0{n}) + switch(0.0{n})") for n in range(1, 9)]
jobs += [gevent.spawn(box.run, "sum(switch(0.001) for _ in range(20))") for _ in range(8)]
print(sum(job.get().unwrap() for job in jobs))
"""


def in_a_process(program: str) -> str:
    pytest.importorskip("gevent")
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    # Nor does one of our own threads wait in a loop that has nothing to wait for.
    assert "LoopExit" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("program", [PATCHED, PATCHED_LATE], ids=["before", "after"])
def test_where_threads_are_patched_the_sandbox_is_refused(program: str) -> None:
    assert in_a_process(program).startswith("threads: they are patched by gevent")


def test_with_threads_left_alone_greenlets_may_run_programs() -> None:
    assert float(in_a_process(UNPATCHED)) == pytest.approx(2 * 0.36 + 8 * 20 * 0.001)


def test_a_guest_never_runs_on_a_greenlets_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    @tool(blocking=False)
    def look() -> None:
        """Look where it runs."""
        seen.append(stack.in_greenlet())

    with Sandbox(tools=[look]).session() as session:
        greenlet.greenlet(lambda: session.run("look()").unwrap()).switch()
        session.run("look()").unwrap()
        greenlet.greenlet(session.snapshot).switch()
    assert seen == [False, False]


def test_two_guests_whose_tools_switch_back_and_forth() -> None:
    main, order = greenlet.getcurrent(), list[str]()

    @tool(blocking=False)
    def hand_over(name: str) -> str:
        """Let another greenlet run.

        Args:
            name: Whose turn it was.
        """
        order.append(name)
        return name

    box = Sandbox(tools=[hand_over])

    def work(name: str) -> None:
        for _ in range(3):
            box.run(f"hand_over({name!r})").unwrap()
            main.switch()

    one, other = greenlet.greenlet(lambda: work("one")), greenlet.greenlet(lambda: work("other"))
    for _ in range(3):
        one.switch()
        other.switch()
    assert order == ["one", "other"] * 3


def test_a_machine_that_is_stepped_in_a_greenlet_says_why_not() -> None:
    with pytest.raises(ConfigurationError, match="greenlet"):
        greenlet.greenlet(lambda: stack.require_room(1 << 20)).switch()


def test_the_error_names_who_patched_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_ident() -> int:
        return 1

    monkeypatch.setattr(get_ident, "__module__", "eventlet.green.thread")
    monkeypatch.setattr(threading, "get_ident", get_ident)
    with pytest.raises(ConfigurationError, match="patched by eventlet"):
        Sandbox()
