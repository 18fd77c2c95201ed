"""A worker: a process that holds sessions and runs their programs, and knows no store, no keys of tenants, no HTTP.

The gateway sends it orders over one socket, ``[number, order, arguments]``, and gets ``[number, "done", report]``,
``[number, "failed", problem]``, and before that ``[number, "event", name, JSON]``. A worker can be killed at any
moment: all that was acknowledged is with the gateway. It ends by itself when the gateway is gone.
"""

import asyncio
import atexit
import json
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloche.host_tools import Tool, ToolRegistry, from_object
from cloche.host_tools.errors import ToolFailed
from cloche.host_tools.policy import GuardedTools
from cloche.host_tools.schema_tool import SchemaTool
from cloche.runtime.driving.scheduler import Scheduler
from cloche.runtime.errors import (
    BlockedTools,
    BudgetSpent,
    CallerError,
    CannotPause,
    ClocheError,
    ConfigurationError,
    GuestError,
    GuestException,
    NotSuspended,
    SessionBusy,
    SessionClosed,
    SnapshotError,
)
from cloche.runtime.limits import SessionBudget
from cloche.runtime.result import Event, Finished, Output, Result, ToolFinished, ToolStarted, Usage
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.driven import EventFeed
from cloche.runtime.session.session import Session, Suspended
from cloche.runtime.threads import guest_threads
from cloche.serve.forms import (
    Channel,
    Problem,
    dumps,
    error_form,
    from_form,
    limits_of,
    result_form,
    to_form,
)
from cloche.serve.placement import fast_loop, spare_the_collector

__all__ = ["ClientTool", "OrderHost", "SessionHost", "problem_of", "run_host", "tenant_tools"]

_STATUS: tuple[tuple[type[ClocheError], int, str, str], ...] = (
    (SessionBusy, 409, "session_busy", "wait for the run in progress, or use another session"),
    (NotSuspended, 409, "not_suspended", "look at the session: its program was resumed, cancelled or has ended"),
    (CannotPause, 409, "cannot_pause", "ask again, or cancel the run"),
    (SessionClosed, 410, "session_ended", "create a new session"),
    (BudgetSpent, 429, "budget_spent", "create a session with a larger budget"),
    (SnapshotError, 409, "snapshot_refused", "use a snapshot of this tenant and of this server's image"),
    (BlockedTools, 503, "no_capacity", "try again later"),
    (ConfigurationError, 422, "invalid", "correct the field that the message names"),
    (CallerError, 409, "refused", "see the message"),
)
"""What a caller's error is over HTTP, the first that fits."""
# What one client's tools may take in prompts, answers and the guest's memory.
_MAX_TOOLS = 128
_FAREWELL = 2.0
"""Seconds in which a worker whose gateway is gone lets go of the servers of its tools."""
_SMALL = 64 << 10
"""Bytes of a state that is made on the event loop, in half a millisecond."""
_READY = 64
"""Guests that are there before sessions need them."""
_NICENESS = 5
"""How much the threads that compute stand back behind those that pass messages on."""
_SLICE = 0.002
"""Seconds that a program computes while others wait: a short run waits so long for a long one of another tenant."""


_connections: dict[str, Any] = {}
_connecting = threading.Lock()


def problem_of(error: BaseException) -> Problem:
    """Return the problem that a client gets for an error of the runtime."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, GuestError):
        missing = isinstance(error, GuestException) and error.type_name in ("NameError", "FileNotFoundError")
        status, code = (404, "not_found") if missing else (422, "guest_error")
        return Problem(status, code, str(error), cause="the session answered with an error", error=error_form(error))
    for kind, status, code, remedy in _STATUS:
        if isinstance(error, kind):
            return Problem(status, code, str(error), remedy=remedy, error=error_form(error))
    return Problem(500, "internal", f"the worker failed: {type(error).__name__}", remedy="report this; see its log")


def tenant_tools(settings: dict[str, Any]) -> ToolRegistry:
    """Return a tenant's tools on the server: ``module:name`` for each, or the names in a module's ``__all__``.

    Raises ToolDefinitionError, or what connecting to an MCP server raises.
    """
    from importlib import import_module

    registry = ToolRegistry()
    for reference in settings.get("tools", ()):
        module, _, name = reference.partition(":")
        names = [name] if name else list(import_module(module).__all__)
        for each in names:
            registry.add(from_object(f"{module}:{each}"))
    if settings.get("mcp"):
        for tool in _connected(list(settings["mcp"])):
            registry.add(tool)
    return registry


def _connected(servers: list[Any]) -> list[Tool]:
    """Return the tools of MCP servers. There is one connection for all sessions, which lasts as long as the process."""
    from cloche.host_tools.external.mcp import MCPClient

    with _connecting:
        key = json.dumps(servers, sort_keys=True, default=str)
        if key not in _connections:
            _connections[key] = MCPClient(servers)
            atexit.register(_connections[key].disconnect)
        tools: list[Tool] = _connections[key].get_tools()
        return tools


def _guarded(registry: ToolRegistry, settings: dict[str, Any]) -> Any:
    """Return the tools under the tenant's policies, which are a dict in a module, ``module:NAME``."""
    if not settings.get("policies"):
        return registry
    from importlib import import_module

    module, _, name = settings["policies"].partition(":")
    policies = getattr(import_module(module), name or "POLICIES")
    known = {spec["name"] for spec in registry.specs()}
    return GuardedTools(registry, {each: policy for each, policy in policies.items() if each in known})


class ClientTool(SchemaTool):
    """A tool that the client answers over the wire: each call is an event of the run, and waits for its answer.

    One that ``suspend``s, or needs ``approval``, ends the request instead, and the program waits in the store.
    """

    blocking = False

    def __init__(self, given: dict[str, Any], ask: Callable[[str, dict[str, Any]], Awaitable[Any]]) -> None:
        name = str(given["name"])
        self.suspend = bool(given.get("suspend"))
        self.approval = bool(given.get("approval"))
        self.is_async = bool(given.get("is_async"))
        parameters: dict[str, Any] = given.get("parameters") or {"type": "object", "properties": {}}
        super().__init__(name, str(given.get("description") or ""), parameters, lambda each: ask(name, each))


class _Running:
    """The run in progress of a session: its events' number, and the calls that wait for the client."""

    def __init__(self, number: int, rid: str, tell: Callable[[str, bytes], None]) -> None:
        self.number, self.rid, self.tell = number, rid, tell
        self.calls: dict[str, asyncio.Future[Any]] = {}
        self.made = 0
        self.pausing = False

    async def ask(self, name: str, arguments: dict[str, Any]) -> Any:
        """Ask the client and wait for its answer, on the loop."""
        self.made += 1
        id = f"c{self.made}"
        answer = self.calls[id] = asyncio.get_running_loop().create_future()
        try:
            self.tell("call", dumps({"id": id, "name": name, "arguments": to_form(arguments)}))
            return await answer
        finally:
            del self.calls[id]


class _Hosted:
    """A session that is open here."""

    def __init__(self, tenant: str, key: bytes) -> None:
        self.tenant, self.key = tenant, key
        self.session: Session = None  # type: ignore[assignment]
        self.running: _Running | None = None
        self.size = _SMALL
        """Bytes of its latest state; as for a large one, where there was none yet."""

    async def ask(self, name: str, arguments: dict[str, Any]) -> Any:
        """Have the run in progress ask its client."""
        if self.running is None:
            raise ToolFailed("RuntimeError", f"{name}() has no client to ask: no run is in progress")
        return await self.running.ask(name, arguments)


class OrderHost:
    """Carries out the gateway's orders in a process of its own; each is a method ``do_NAME``, and returns its report.

    ``expected`` are the errors that are a client's affair; any other is printed as well.
    """

    expected: tuple[type[Exception], ...] = (ClocheError, Problem)

    def __init__(self) -> None:
        self.channel = Channel(self._on_message, self._on_lost)
        self._gone = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, descriptor: int) -> None:
        """Serve the gateway at the other end of a socket until it is gone."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self.channel, sock=socket.socket(fileno=descriptor))
        self.channel.send([0, "ready", os.getpid()])
        await self._gone.wait()

    def _on_lost(self) -> None:
        self._gone.set()

    def _on_message(self, message: list[Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._carry_out(*message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, number: int, order: str, arguments: dict[str, Any]) -> None:
        try:
            report = await getattr(self, f"do_{order}")(number, **arguments)
            self.channel.send([number, "done", report])
        except Exception as error:
            if not isinstance(error, self.expected):
                sys.excepthook(type(error), error, error.__traceback__)
            self.channel.send([number, "failed", problem_of(error).form()])


class SessionHost(OrderHost):
    """Hosts sessions."""

    def __init__(self, threads: int | None = None) -> None:
        super().__init__()
        self.sessions: dict[str, _Hosted] = {}
        self._scheduler = Scheduler(threads, slice=_SLICE)
        self._settings: dict[str, dict[str, Any]] = {}
        self._boxes: dict[str, Sandbox] = {}
        # Built before the first request is there: the image is loaded, and pages of it are in memory.
        self._plain = Sandbox(scheduler=self._scheduler)
        self._plain.run("x = 1")
        self._plain.keep_ready(_READY)

    # Orders.

    async def do_tenants(self, number: int, settings: dict[str, dict[str, Any]]) -> None:
        """Take the tenants' settings; sessions that are open keep theirs."""
        changed = {name for name, each in settings.items() if self._settings.get(name) != each}
        for name in self._settings.keys() - settings.keys():
            self._scheduler.remove_account(name)
        for name, each in settings.items():
            self._scheduler.set_account(name, weight=each["weight"])
        self._settings = settings
        self._boxes = {name: box for name, box in self._boxes.items() if name in settings and name not in changed}

    async def do_ping(self, number: int) -> None:
        """Show that this process answers."""

    async def do_open(
        self,
        number: int,
        sid: str,
        tenant: str,
        key: bytes,
        limits: dict[str, Any],
        tools: list[dict[str, Any]],
        state: bytes | None,
        budget: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Open a session, from its state if it has one. Reports whether a program is suspended in it."""
        hosted = _Hosted(tenant, key)
        box = await self._box(tenant, tools, hosted)
        bounds, bounded = limits_of(limits), None if budget is None else SessionBudget(**budget)
        if state is None:
            hosted.session = box.session(limits=bounds, budget=bounded, account=tenant)
        else:
            hosted.size = len(state)
            hosted.session = await box.arestore(
                state, limits=bounds, budget=bounded, key=key, tenant=tenant, account=tenant
            )
        self.sessions[sid] = hosted
        waiting = hosted.session.suspended
        return {"suspended": None if waiting is None else _waiting_form(waiting)}

    async def do_run(
        self,
        number: int,
        sid: str,
        rid: str,
        code: str,
        stdin: str | None,
        limits: dict[str, Any] | None,
        events: bool,
        save: bool,
    ) -> dict[str, Any]:
        """Run a program until it ends, is suspended or paused, and report it; with ``save``, and the state after it.

        Without ``limits``, it has those that the session was opened with.
        """
        hosted = self._hosted(sid)
        bounds = None if limits is None else limits_of(limits)
        return await self._perform(
            number,
            hosted,
            rid,
            save,
            events,
            lambda listener: hosted.session.astart(code, stdin=stdin, limits=bounds, on_event=listener),
        )

    async def do_resume(
        self, number: int, sid: str, rid: str, answers: dict[str, dict[str, Any]] | None, events: bool, save: bool
    ) -> dict[str, Any]:
        """Resume the suspended program with answers by call, or a paused one with none; reported like a run."""
        hosted = self._hosted(sid)
        suspended = hosted.session.suspended
        if suspended is None:
            raise NotSuspended
        if answers is None and suspended.kind != "paused":
            return await self._report(hosted, rid, suspended, save, suspended.usage)
        given = _answers(answers or {}) if suspended.kind == "call" else {}
        return await self._perform(
            number,
            hosted,
            rid,
            save,
            events,
            lambda listener: suspended.aresume(on_event=listener, **given),
            suspended.usage,
        )

    async def do_answer(self, number: int, sid: str, call: str, answer: dict[str, Any]) -> bool:
        """Give a call of the run in progress its answer; reports whether it was waiting."""
        running = self._hosted(sid).running
        waiting = None if running is None else running.calls.get(call)
        if waiting is None or waiting.done():
            return False
        if "error" in answer:
            error = answer["error"]
            kind, message = str(error.get("type") or "RuntimeError"), str(error.get("message") or "")
            waiting.set_exception(ToolFailed(kind, message))
        else:
            waiting.set_result(from_form(answer.get("value")))
        return True

    async def do_interrupt(self, number: int, sid: str) -> bool:
        """End the run in progress; reports whether there was one."""
        return self._hosted(sid).session.interrupt()

    async def do_pause(self, number: int, sid: str, timeout: float) -> bool:
        """Have the program in progress leave where it computes, so that its run ends as paused."""
        hosted = self._hosted(sid)
        if hosted.running is not None:
            hosted.running.pausing = True
        return await hosted.session.apause(timeout) is not None

    async def do_ask(self, number: int, sid: str, method: str, arguments: list[Any], save: bool) -> dict[str, Any]:
        """Get or set a variable, or read, write or list files."""
        hosted = self._hosted(sid)
        session, before = hosted.session, hosted.session.spent.fuel
        value: Any = None
        match method:
            case "set":
                await session.aset(arguments[0], from_form(arguments[1]))
            case "get":
                value = dumps({"value": to_form(await session.aget(arguments[0]))})
            case "put_file":
                await session.aput_file(arguments[0], arguments[1])
            case "get_file":
                value = await session.aget_file(arguments[0])
            case _:
                value = await session.alist_files(arguments[0])
        state = await self._state(hosted) if save and method in ("set", "put_file") else None
        return {"value": value, "fuel": session.spent.fuel - before, "state": state}

    async def do_cancel_suspended(self, number: int, sid: str, save: bool) -> bytes | None:
        """Give the suspended program up."""
        hosted = self._hosted(sid)
        suspended = hosted.session.suspended
        if suspended is None:
            raise NotSuspended
        await asyncio.to_thread(suspended.cancel)
        return await self._state(hosted) if save else None

    async def do_snapshot(self, number: int, sid: str) -> bytes:
        """Report the session's state."""
        return await self._state(self._hosted(sid))

    async def do_close(self, number: int, sid: str) -> None:
        """Drop a session, whatever it does; one that is not here is not missed."""
        hosted = self.sessions.pop(sid, None)
        if hosted is not None:
            hosted.session.close()

    # What they share.

    def _hosted(self, sid: str) -> _Hosted:
        try:
            return self.sessions[sid]
        except KeyError:
            raise Problem(503, "not_here", "the session is not open in this worker", retry_after=0.1) from None

    async def _box(self, tenant: str, tools: list[dict[str, Any]], hosted: _Hosted) -> Sandbox:
        settings = self._settings.get(tenant, {})
        if tools:
            # A registry of its own: its tools ask this session's client.
            registry = await asyncio.to_thread(tenant_tools, settings)
            for given in tools[:_MAX_TOOLS]:
                registry.add(ClientTool(given, hosted.ask))
            return Sandbox(_guarded(registry, settings), scheduler=self._scheduler)
        box = self._boxes.get(tenant)
        if box is None:
            needs_tools = settings.get("tools") or settings.get("mcp")
            own = await asyncio.to_thread(tenant_tools, settings) if needs_tools else None
            made = self._plain if own is None else Sandbox(_guarded(own, settings), scheduler=self._scheduler)
            box = self._boxes[tenant] = made
        return box

    async def _perform(
        self,
        number: int,
        hosted: _Hosted,
        rid: str,
        save: bool,
        events: bool,
        begin: Callable[[Callable[[Event], None] | None], Awaitable[Result[Any] | Suspended]],
        before: Usage | None = None,
    ) -> dict[str, Any]:
        if hosted.running is not None:
            raise SessionBusy
        hosted.running = _Running(number, rid, lambda name, data: self.channel.send([number, "event", name, data]))
        try:
            if events:
                outcome = await self._followed(number, begin)
            else:
                outcome = await begin(None)
        finally:
            hosted.running = None
        return await self._report(hosted, rid, outcome, save, before)

    async def _followed(
        self,
        number: int,
        begin: Callable[[Callable[[Event], None] | None], Awaitable[Result[Any] | Suspended]],
    ) -> Result[Any] | Suspended:
        """Run with events: each is sent before the report is."""
        feed = EventFeed(asyncio.get_running_loop())
        task = asyncio.ensure_future(begin(feed.put))
        task.add_done_callback(feed.end)
        async for event in feed:
            named = _event_form(event)
            if named is not None:
                self.channel.send([number, "event", named[0], dumps(named[1])])
        return await task

    async def _report(
        self, hosted: _Hosted, rid: str, outcome: Result[Any] | Suspended, save: bool, before: Usage | None = None
    ) -> dict[str, Any]:
        if isinstance(outcome, Suspended):
            status = "paused" if outcome.kind == "paused" else "suspended"
            form: dict[str, Any] = _waiting_form(outcome)
        else:
            status, form = "done", result_form(outcome)
        is_whole = isinstance(outcome, Suspended) or not outcome.rolled_back
        # A program that was resumed counts on; what it had used before is in the books already.
        usage = outcome.usage if before is None else outcome.usage.since(before)
        return {
            "status": status,
            "fuel": usage.fuel or 0,
            "wall": usage.wall,
            "calls": usage.calls,
            "output": usage.output_bytes,
            "memory": usage.memory_peak,
            "error": type(outcome.error).__name__ if isinstance(outcome, Result) and outcome.error else "",
            "body": dumps({"id": rid, "status": status, **form}),
            "waits": form.get("waits"),
            # A program that waits is kept whatever the session's durability is: it may wait for days.
            "state": await self._state(hosted, is_whole=is_whole) if save or status != "done" else None,
        }

    async def _state(self, hosted: _Hosted, *, is_whole: bool = False) -> bytes:
        """Return the session's state. ``is_whole`` says that its guest is there, and not to be brought back first."""
        session, key, tenant = hosted.session, hosted.key, hosted.tenant
        if is_whole and hosted.size < _SMALL:
            # Handing it to a thread and back takes half as long as a small one itself.
            state = bytes(session.snapshot(key=key, tenant=tenant))
        else:
            state = bytes(await session.asnapshot(key=key, tenant=tenant))
        hosted.size = len(state)
        return state


def _waiting_form(waiting: Suspended) -> dict[str, Any]:
    calls = [
        {
            "id": call.id,
            "name": call.name,
            "args": to_form(call.args),
            "kwargs": to_form(call.kwargs),
            "line": call.line,
            "needs_approval": call.needs_approval,
        }
        for call in waiting.calls
    ]
    return {"waits": calls, "stdout": waiting.stdout, "stderr": waiting.stderr, "usage": waiting.usage._asdict()}


def _answers(given: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a client's answers as :meth:`Suspended.resume` takes them. Raises Problem."""
    values, errors, approve, deny = dict[int, Any](), dict[int, BaseException](), list[int](), dict[int, str]()
    for text, answer in given.items():
        id = int(text)
        if "value" in answer:
            values[id] = from_form(answer["value"])
        elif answer.get("error") is not None:
            error = answer["error"]
            errors[id] = ToolFailed(str(error.get("type") or "RuntimeError"), str(error.get("message") or ""))
        elif answer.get("approve") is True:
            approve.append(id)
        else:
            deny[id] = str(answer.get("deny") or "")
    return {"values": values, "errors": errors, "approve": approve, "deny": deny}


def _event_form(event: Event) -> tuple[str, dict[str, Any]] | None:
    match event:
        case Output(stream, text):
            return "output", {"stream": stream, "text": text}
        case ToolStarted(record):
            return "tool_started", {"name": record.name}
        case ToolFinished(record):
            return "tool_finished", {"name": record.name, "outcome": record.outcome, "seconds": record.seconds}
        case Finished():
            return None
        case _:
            # A kind that is newer than this: displays, for example.
            return None


def run_host(serving: Coroutine[Any, Any, None]) -> None:
    """Run an event loop for a host. Ctrl-C is the gateway's to handle."""
    import signal

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(serving)


async def _serve(descriptor: int, threads: int) -> None:
    host = SessionHost(threads)
    spare_the_collector()
    await host.serve(descriptor)
    # Servers of tools that this process has started end with it, and without complaint.
    with suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL):
            await asyncio.gather(*(asyncio.to_thread(each.disconnect) for each in _connections.values()))
    # At once: threads of runs that are not waited for any more would keep the process.
    os._exit(0)


def main(descriptor: int, threads: int) -> None:
    """Serve the gateway at the other end of a socket until it is gone, with so many programs computing at once."""
    # Programs compute; this thread and the gateway's only pass messages on, and are not to wait for a core.
    guest_threads.niceness = _NICENESS
    # Where memory runs out, the system is to end this process and not the gateway.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    run_host(_serve(descriptor, threads))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
