"""Makes the bridge's loop the one asyncio uses, and keeps one loop for top-level ``await`` alive between runs."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import _cloche
from cloche_guest import state
from cloche_guest.calls import twin_of
from cloche_guest.loop import BridgeLoop
from cloche_guest.loop import install as install_steps
from cloche_guest.main_task import run_main
from cloche_guest.substitutes import hidden
from cloche_guest.unsupported.reasons import NO_PROCESSES, put

__all__ = ["BridgePolicy", "install", "run_coroutine", "to_thread"]

# An async generator dropped by a cancelled task is closed by a task of its own, hence more than one round.
_ROUNDS = 3


class BridgePolicy(asyncio.AbstractEventLoopPolicy):  # pyright: ignore[reportGeneralTypeIssues]
    """Every new loop is a :class:`BridgeLoop`; code that asks for a loop without one gets the session's."""

    def __init__(self) -> None:
        self._current: asyncio.AbstractEventLoop | None = None
        self._unset_by: str | None = None
        self._session = BridgeLoop()

    def session_loop(self) -> BridgeLoop:
        """Return the loop that lives as long as the session; a new one if the program closed it."""
        if self._session.is_closed():
            self._session = BridgeLoop()
        return self._session

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop set last if it is open, else the session's; RuntimeError where this program set None."""
        if self._unset_by is not None and self._unset_by == state.current.latest:
            raise RuntimeError(f"There is no current event loop in thread {threading.current_thread().name!r}.")
        if self._current is not None and not self._current.is_closed():
            return self._current
        return self.session_loop()

    def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Set the loop to return; None for none until the program ends, as ``asyncio.run`` does at its end."""
        self._current, self._unset_by = loop, state.current.latest if loop is None else None

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new :class:`BridgeLoop`."""
        return BridgeLoop()

    def get_child_watcher(self) -> NoReturn:
        """Raise NotImplementedError, as any policy without one: there are no processes to watch."""
        raise NotImplementedError(NO_PROCESSES)

    def set_child_watcher(self, watcher: Any) -> NoReturn:
        """Raise NotImplementedError, as any policy without one: there are no processes to watch."""
        raise NotImplementedError(NO_PROCESSES)


_policy = BridgePolicy()


def install() -> None:
    """Put the loop, its policy and a ``to_thread`` that knows tools in place of asyncio's own."""
    asyncio.set_event_loop_policy(_policy)  # pyright: ignore[reportDeprecated]  # the guest is 3.13
    put(asyncio, SelectorEventLoop=BridgeLoop, EventLoop=BridgeLoop, DefaultEventLoopPolicy=BridgePolicy)
    put(asyncio, to_thread=to_thread, run=run)
    put(asyncio.runners, run=run)
    put(asyncio.threads, to_thread=to_thread)
    install_steps()


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a snippet's top-level ``await`` on the session's loop and return its value.

    Tasks it leaves behind are cancelled, as ``asyncio.run`` does; the loop itself, and what is bound to it, stays.
    """
    loop = _policy.session_loop()
    try:
        return run_main(loop, coroutine)
    finally:
        _sweep(loop)


@hidden
def run(
    main: Coroutine[Any, Any, Any], *, debug: bool | None = None, loop_factory: Callable[[], Any] | None = None
) -> Any:
    """Stand in for ``asyncio.run``: the same, but plain calls in the coroutine can wait for answers."""
    if asyncio.events._get_running_loop() is not None:
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:
        loop = runner.get_loop()
        if isinstance(loop, BridgeLoop) and asyncio.iscoroutine(main):
            return run_main(loop, main)
        return runner.run(main)


@hidden
async def to_thread(func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run ``func`` in a thread and return its value; a registered tool runs in the background without one."""
    twin = twin_of(func)
    if twin is not None:
        return await twin(*args, **kwargs)
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(None, _run_in, context, func, args, kwargs)


@hidden
def _run_in(context: contextvars.Context, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Do what ``context.run`` does, without C code below the function, so that the thread can be left in it."""
    _cloche.enter_context(context)
    try:
        return func(*args, **kwargs)
    finally:
        _cloche.exit_context(context)


def _sweep(loop: BridgeLoop) -> None:
    for _ in range(_ROUNDS):
        left = asyncio.all_tasks(loop)
        if not left:
            return
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
