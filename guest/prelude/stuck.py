"""Ends a deadlock: with nothing running and no timer set, no task can ever go on."""

import asyncio
from typing import Any, NoReturn, cast

__all__ = ["DEADLOCK", "release"]

DEADLOCK = (
    "deadlock: every task waits for something that can never happen. "
    "No tool call is running and no timer is set, so nothing can wake the program"
)


def release(main: asyncio.Future[Any] | None) -> None:
    """Raise RuntimeError where the main task waits, so that its traceback shows that line.

    Where there is no such place (run_forever, say) it is raised here, out of the loop.
    """
    waiter = _innermost(main)
    if waiter is None or waiter.done():
        _give_up()
    try:
        waiter.set_exception(RuntimeError(DEADLOCK))
    except (RuntimeError, asyncio.InvalidStateError):
        _give_up()


def _innermost(main: asyncio.Future[Any] | None) -> asyncio.Future[Any] | None:
    """Follow tasks that wait for tasks: only a plain future can be given an exception."""
    waiter: Any = main
    while isinstance(waiter, asyncio.Task):
        waiter = getattr(cast("Any", waiter), "_fut_waiter", None)
    return cast("asyncio.Future[Any] | None", waiter)


def _give_up() -> NoReturn:
    raise RuntimeError(DEADLOCK)
