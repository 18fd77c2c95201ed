"""Tools that answer by rule, and ways to run a program with stops at its calls."""

import asyncio
from collections.abc import Callable
from typing import Any

from cloche import Limits, Result, Sandbox, Suspended, SuspendedCall, tool


@tool
def ask(x: int) -> int:
    """Ten times x."""
    return x * 10


@tool
def fail(why: str) -> int:
    """Fail."""
    raise RuntimeError(why)


@tool
async def aask(x: int) -> int:
    """Ten times x."""
    await asyncio.sleep(0)
    return x * 10


@tool
async def afail(why: str) -> int:
    """Fail."""
    raise RuntimeError(why)


TOOLS = [ask, fail, aask, afail]
BOX = Sandbox(tools=TOOLS, limits=Limits(fuel=None, time=None, calls=None))


def outcome(call: SuspendedCall) -> tuple[dict[int, Any], dict[int, BaseException]]:
    """What the tool would do, as the answer to a call that waits: values by id, and errors by id."""
    argument = [*call.args, *call.kwargs.values()][0]
    if call.name in ("fail", "afail"):
        return {}, {call.id: RuntimeError(argument)}
    return {call.id: argument * 10}, {}


def answered(paused: Suspended) -> "Result[Any] | Suspended":
    """Answer every call that waits."""
    values: dict[int, Any] = {}
    errors: dict[int, BaseException] = {}
    for call in paused.calls:
        some, others = outcome(call)
        values |= some
        errors |= others
    return paused.resume(values, errors=errors)


def moved(paused: Suspended) -> Suspended:
    """The same program in another session, from the snapshot's bytes."""
    again = BOX.restore(bytes(paused.snapshot())).suspended
    assert again is not None
    assert again.calls == paused.calls
    return again


def finish(now: "Result[Any] | Suspended", stop: Callable[[Suspended], Suspended] = lambda it: it) -> Result[Any]:
    """Answer until the program has ended; ``stop`` is called at each of its stops."""
    while isinstance(now, Suspended):
        now = answered(stop(now))
    return now
