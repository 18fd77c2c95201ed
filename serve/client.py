"""The client of a Cloche server: sessions there, with the methods that :class:`cloche.Session` has here."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Literal, Self
from urllib.parse import quote

from cloche.runtime.bridge.pending import SuspendedCall
from cloche.runtime.errors import GuestError, SessionBusy, SessionClosed
from cloche.runtime.limits import Limits, SessionBudget
from cloche.runtime.result import Event, Finished, Output, Result, ToolFinished, ToolStarted, Usage
from cloche.serve.forms import Problem, from_form, limits_form, record_of, result_of, to_form
from cloche.serve.wire import Wire, problem_error

__all__ = ["Client", "Problem", "RemoteSession", "RemoteSuspended"]

_OUTCOMES = {"done", "suspended", "paused", "problem"}


class Client:
    """A tenant's view of a Cloche server: makes sessions there, and runs programs.

    ``url`` is the server's address and ``key`` the tenant's. ``timeout`` are seconds for one request beside the run's
    own time (default 30). Every method that asks the server has a twin for async callers, named with an ``a`` in front.
    Runs carry ids: a request whose answer was lost is sent again, and the program is not run again.

    Methods raise :class:`Problem` for what the server refuses, the runtime's own errors where they say the same, and
    httpx.HTTPError where the server cannot be reached. As a context manager, it closes its connections at the end.
    """

    def __init__(self, url: str, key: str, *, timeout: float = 30.0) -> None:
        self._wire = Wire(url, key, timeout)

    def session(
        self,
        *,
        tools: Iterable[Any] = (),
        limits: Limits | None = None,
        budget: SessionBudget | None = None,
        snapshot: str | None = None,
        durable: Literal["run", "idle", "never"] | None = None,
        idle: float | None = None,
        life: float | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> "RemoteSession":
        """Create a session, from a snapshot of the server if its id is given, and return it.

        ``tools`` are functions or Tools that run here, in this process, when its programs call them. ``durable`` says
        when its state is stored, ``idle`` after how many seconds it is parked, and ``life`` when it is deleted;
        the tenant's own are the default.
        """
        given = _tools(tools)
        asked = _session_form(given, limits, budget, snapshot, durable, idle, life, labels)
        return RemoteSession(self._wire, self._wire.send("POST", "/v1/sessions", json=asked).json(), given)

    async def asession(
        self,
        *,
        tools: Iterable[Any] = (),
        limits: Limits | None = None,
        budget: SessionBudget | None = None,
        snapshot: str | None = None,
        durable: Literal["run", "idle", "never"] | None = None,
        idle: float | None = None,
        life: float | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> "RemoteSession":
        """Like :meth:`session`."""
        given = _tools(tools)
        asked = _session_form(given, limits, budget, snapshot, durable, idle, life, labels)
        return RemoteSession(self._wire, (await self._wire.asend("POST", "/v1/sessions", json=asked)).json(), given)

    def attach(self, id: str, *, tools: Iterable[Any] = ()) -> "RemoteSession":
        """Return a session that was created before, here or elsewhere."""
        return RemoteSession(self._wire, self._wire.send("GET", f"/v1/sessions/{id}").json(), _tools(tools))

    async def aattach(self, id: str, *, tools: Iterable[Any] = ()) -> "RemoteSession":
        """Like :meth:`attach`."""
        return RemoteSession(self._wire, (await self._wire.asend("GET", f"/v1/sessions/{id}")).json(), _tools(tools))

    def run(self, code: str, *, stdin: str | None = None, limits: Limits | None = None) -> Result[Any]:
        """Run a program in a fresh guest there, and return its result."""
        return result_of(self._wire.send("POST", "/v1/runs", json=_run_form(code, stdin, limits)).json())

    async def arun(self, code: str, *, stdin: str | None = None, limits: Limits | None = None) -> Result[Any]:
        """Like :meth:`run`."""
        return result_of((await self._wire.asend("POST", "/v1/runs", json=_run_form(code, stdin, limits))).json())

    def resume(self, token: str, answers: Mapping[int, Mapping[str, Any]]) -> "Result[Any] | RemoteSuspended":
        """Resume a suspended program by its token, from any process of the tenant; see :meth:`RemoteSuspended.resume`.

        An answer is ``{"value": ...}``, ``{"error": {"type": ..., "message": ...}}``, ``{"approve": True}`` or
        ``{"deny": "reason"}``. The same answers again return the same outcome.
        """
        form = self._wire.send("POST", "/v1/resume", json=_resume_form(token, answers)).json()
        return _outcome(self._wire, form)

    async def aresume(self, token: str, answers: Mapping[int, Mapping[str, Any]]) -> "Result[Any] | RemoteSuspended":
        """Like :meth:`resume`."""
        form = (await self._wire.asend("POST", "/v1/resume", json=_resume_form(token, answers))).json()
        return _outcome(self._wire, form)

    def usage(self) -> dict[str, Any]:
        """Return what the tenant has used, by day, and its quotas."""
        return _dict(self._wire.send("GET", "/v1/usage").json())

    async def ausage(self) -> dict[str, Any]:
        """Like :meth:`usage`."""
        return _dict((await self._wire.asend("GET", "/v1/usage")).json())

    def close(self) -> None:
        """Close the connections of the blocking methods. Sessions stay. Safe to call twice."""
        self._wire.close()

    async def aclose(self) -> None:
        """Close all connections. Sessions stay. Safe to call twice."""
        await self._wire.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class RemoteSession:
    """A session on a server: one interpreter there, which keeps its state from run to run, over parking and restarts.

    Made by :meth:`Client.session`. Its methods are those of :class:`cloche.Session`, with the same twins, as far as
    they make sense over a wire. As a context manager, it is deleted at the end.
    """

    def __init__(self, wire: Wire, form: dict[str, Any], tools: "list[Any]") -> None:
        self._wire, self._tools = wire, {tool.name: tool for tool in tools}
        self.id: str = form["id"]
        self._form = form
        self._path = f"/v1/sessions/{self.id}"

    def run(
        self,
        code: str,
        *,
        stdin: str | None = None,
        limits: Limits | None = None,
        on_event: Callable[[Event], None] | None = None,
        id: str | None = None,
    ) -> Result[Any]:
        """Run a program and return its result; what the program does wrong is on the result, not raised.

        ``on_event`` is called with each event as it arrives. ``id`` names the run: the run of an id is performed once.
        Raises SessionBusy, SessionSuspended, or SessionClosed for a session that has ended; Problem.
        """
        outcome = self.start(code, stdin=stdin, limits=limits, on_event=on_event, id=id)
        if isinstance(outcome, RemoteSuspended):
            raise SessionBusy(f"the program waits for {outcome.waits_for()}: begin such programs with start()")
        return outcome

    async def arun(
        self,
        code: str,
        *,
        stdin: str | None = None,
        limits: Limits | None = None,
        on_event: Callable[[Event], None] | None = None,
        id: str | None = None,
    ) -> Result[Any]:
        """Like :meth:`run`. Being cancelled ends the run."""
        outcome = await self.astart(code, stdin=stdin, limits=limits, on_event=on_event, id=id)
        if isinstance(outcome, RemoteSuspended):
            raise SessionBusy(f"the program waits for {outcome.waits_for()}: begin such programs with astart()")
        return outcome

    def start(
        self,
        code: str,
        *,
        stdin: str | None = None,
        limits: Limits | None = None,
        on_event: Callable[[Event], None] | None = None,
        id: str | None = None,
    ) -> "Result[Any] | RemoteSuspended":
        """Run a program until it ends or has to wait; return its Result, or the suspended program."""
        body = _run_form(code, stdin, limits, id or uuid.uuid4().hex)
        if not self._tools and on_event is None:
            return _outcome(self._wire, self._wire.send("POST", f"{self._path}/runs", json=body).json())
        for name, data in self._wire.stream(f"{self._path}/runs", body):
            if name == "call":
                self._wire.send("POST", f"{self._path}/runs/{body['id']}/calls/{data['id']}", json=self._made(data))
            elif name in _OUTCOMES:
                return _outcome(self._wire, data)
            else:
                _tell(on_event, name, data)
        raise GuestError("the server's stream of events ended before the run did")

    async def astart(
        self,
        code: str,
        *,
        stdin: str | None = None,
        limits: Limits | None = None,
        on_event: Callable[[Event], None] | None = None,
        id: str | None = None,
    ) -> "Result[Any] | RemoteSuspended":
        """Like :meth:`start`. Calls of coroutine tools are made side by side. Being cancelled ends the run."""
        body = _run_form(code, stdin, limits, id or uuid.uuid4().hex)
        calls: set[asyncio.Task[Any]] = set()
        try:
            if not self._tools and on_event is None:
                answer = await self._wire.asend("POST", f"{self._path}/runs", json=body)
                return _outcome(self._wire, answer.json())
            async for name, data in self._wire.astream(f"{self._path}/runs", body):
                if name == "call":
                    calls.add(asyncio.ensure_future(self._answer(body["id"], data)))
                elif name in _OUTCOMES:
                    return _outcome(self._wire, data)
                else:
                    _tell(on_event, name, data)
        except asyncio.CancelledError:
            await asyncio.shield(self._wire.asend("POST", f"{self._path}/runs/{body['id']}/cancel"))
            raise
        finally:
            for call in calls:
                call.cancel()
        raise GuestError("the server's stream of events ended before the run did")

    async def stream(
        self, code: str, *, stdin: str | None = None, limits: Limits | None = None
    ) -> AsyncGenerator[Event, None]:
        """Run a program and yield its events as they arrive, Finished last."""
        body = _run_form(code, stdin, limits, uuid.uuid4().hex)
        calls: set[asyncio.Task[Any]] = set()
        async for name, data in self._wire.astream(f"{self._path}/runs", body):
            if name == "call":
                calls.add(asyncio.ensure_future(self._answer(body["id"], data)))
            elif name in _OUTCOMES:
                outcome = _outcome(self._wire, data)
                if isinstance(outcome, Result):
                    yield Finished(outcome)
            elif (event := _event(name, data)) is not None:
                yield event

    def _made(self, call: dict[str, Any]) -> dict[str, Any]:
        """Make a call of a tool here, and return the answer for the program."""
        try:
            tool = self._tools[call["name"]]
            value = tool.invoke([], from_form(call["arguments"]))
            if asyncio.iscoroutine(value):
                value = asyncio.run(value)
            return {"value": to_form(value)}
        except Exception as error:
            return {"error": {"type": type(error).__name__, "message": str(error)[:4_000]}}

    async def _answer(self, run: str, call: dict[str, Any]) -> None:
        try:
            tool = self._tools[call["name"]]
            arguments = from_form(call["arguments"])
            if tool.is_async:
                value = await tool.invoke([], arguments)
            else:
                value = await asyncio.to_thread(tool.invoke, [], arguments)
            answer: dict[str, Any] = {"value": to_form(value)}
        except Exception as error:
            answer = {"error": {"type": type(error).__name__, "message": str(error)[:4_000]}}
        await self._wire.asend("POST", f"{self._path}/runs/{run}/calls/{call['id']}", json=answer)

    def set(self, name: str, value: Any) -> None:
        """Set a variable."""
        self._wire.send("PUT", f"{self._path}/variables/{quote(name, '')}", json={"value": to_form(value)})

    async def aset(self, name: str, value: Any) -> None:
        """Like :meth:`set`."""
        await self._wire.asend("PUT", f"{self._path}/variables/{quote(name, '')}", json={"value": to_form(value)})

    def get(self, name: str) -> Any:
        """Return a variable's value. Raises GuestException (NameError) if there is none, or UnserializableValue."""
        return from_form(self._wire.send("GET", f"{self._path}/variables/{quote(name, '')}").json()["value"])

    async def aget(self, name: str) -> Any:
        """Like :meth:`get`."""
        answer = await self._wire.asend("GET", f"{self._path}/variables/{quote(name, '')}")
        return from_form(answer.json()["value"])

    def put_file(self, path: str, data: bytes | str) -> None:
        """Write a file. A relative path lies in /work; text is written as UTF-8."""
        self._wire.send("PUT", f"{self._path}/files/{quote(path)}", content=_as_bytes(data))

    async def aput_file(self, path: str, data: bytes | str) -> None:
        """Like :meth:`put_file`."""
        await self._wire.asend("PUT", f"{self._path}/files/{quote(path)}", content=_as_bytes(data))

    def get_file(self, path: str) -> bytes:
        """Return a file's content. Raises GuestException (FileNotFoundError or another OSError)."""
        return self._wire.send("GET", f"{self._path}/files/{quote(path)}").content

    async def aget_file(self, path: str) -> bytes:
        """Like :meth:`get_file`."""
        return (await self._wire.asend("GET", f"{self._path}/files/{quote(path)}")).content

    def list_files(self, path: str = "/work") -> list[str]:
        """Return the absolute paths of all files below a folder, sorted."""
        return list(self._wire.send("GET", f"{self._path}/files", params={"path": path}).json()["files"])

    async def alist_files(self, path: str = "/work") -> list[str]:
        """Like :meth:`list_files`."""
        return list((await self._wire.asend("GET", f"{self._path}/files", params={"path": path})).json()["files"])

    def snapshot(self) -> str:
        """Keep the session's state on the server under an id that never changes, and return the id."""
        return str(self._wire.send("POST", f"{self._path}/snapshots").json()["id"])

    async def asnapshot(self) -> str:
        """Like :meth:`snapshot`."""
        return str((await self._wire.asend("POST", f"{self._path}/snapshots")).json()["id"])

    def fork(self, n: int = 1) -> "list[RemoteSession]":
        """Return ``n`` sessions in the state of this one."""
        return self._forks(self._wire.send("POST", f"{self._path}/forks", json={"count": n}).json())

    async def afork(self, n: int = 1) -> "list[RemoteSession]":
        """Like :meth:`fork`."""
        return self._forks((await self._wire.asend("POST", f"{self._path}/forks", json={"count": n})).json())

    def interrupt(self) -> bool:
        """End the run that is in progress; its error is Interrupted. Returns whether there was one."""
        runs = self._wire.send("GET", f"{self._path}/runs").json()["runs"]
        going = [run["id"] for run in runs if run["status"] == "running"]
        ended = [self._wire.send("POST", f"{self._path}/runs/{id}/cancel").json()["interrupted"] for id in going]
        return any(ended)

    @property
    def suspended(self) -> "RemoteSuspended | None":
        """The program that is suspended in this session, or None; asked of the server."""
        form = self._wire.send("GET", self._path).json()["suspended"]
        return None if form is None else RemoteSuspended(self._wire, form)

    def renew(self, *, idle: float | None = None, life: float | None = None) -> None:
        """Have the session's life begin anew; and set its times, in seconds."""
        asked = {key: value for key, value in (("idle", idle), ("life", life)) if value is not None}
        self._form = self._wire.send("PATCH", self._path, json=asked).json()

    def close(self) -> None:
        """Delete the session there, whatever it does. Safe to call twice."""
        with suppress(Problem, SessionClosed):
            self._wire.send("DELETE", self._path)

    async def aclose(self) -> None:
        """Like :meth:`close`."""
        with suppress(Problem, SessionClosed):
            await self._wire.asend("DELETE", self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<RemoteSession {self.id}>"

    def _forks(self, form: dict[str, Any]) -> "list[RemoteSession]":
        return [RemoteSession(self._wire, each, list(self._tools.values())) for each in form["sessions"]]


class RemoteSuspended:
    """A program that waits on the server, for days if need be. ``token`` is all that is needed to resume it.

    ``calls`` are what it waits for. The methods are those of :class:`cloche.Suspended`.
    """

    def __init__(self, wire: Wire, form: dict[str, Any]) -> None:
        self._wire = wire
        self.token: str = form["token"]
        self.calls = tuple(_call(each) for each in form["waits"])
        self.stdout: str = form.get("stdout", "")
        """What the program has printed so far."""
        self.usage = Usage(**form["usage"]) if "usage" in form else None
        """What it has used so far; None where it was asked for later."""

    def resume(
        self,
        values: Mapping[int, Any] | None = None,
        *,
        errors: Mapping[int, BaseException] | None = None,
        approve: Iterable[int] = (),
        deny: Mapping[int, str] | None = None,
    ) -> "Result[Any] | RemoteSuspended":
        """Let calls return these ``values`` by id, or raise ``errors``; approve or deny the others."""
        form = self._wire.send(
            "POST", "/v1/resume", json=_resume_form(self.token, _answers(values, errors, approve, deny))
        )
        return _outcome(self._wire, form.json())

    async def aresume(
        self,
        values: Mapping[int, Any] | None = None,
        *,
        errors: Mapping[int, BaseException] | None = None,
        approve: Iterable[int] = (),
        deny: Mapping[int, str] | None = None,
    ) -> "Result[Any] | RemoteSuspended":
        """Like :meth:`resume`."""
        asked = _resume_form(self.token, _answers(values, errors, approve, deny))
        return _outcome(self._wire, (await self._wire.asend("POST", "/v1/resume", json=asked)).json())

    def approve(self, *ids: int) -> "Result[Any] | RemoteSuspended":
        """Have these tools called on the server, with the arguments that the program gave them."""
        return self.resume(approve=ids)

    def deny(self, id: int, reason: str = "") -> "Result[Any] | RemoteSuspended":
        """Let a call raise PermissionError in the program."""
        return self.resume(deny={id: reason})

    def waits_for(self) -> str:
        """Return the calls as one line of text."""
        return ", ".join(map(str, self.calls))

    def __repr__(self) -> str:
        return f"<RemoteSuspended, waits for {self.waits_for()}>"


def _outcome(wire: Wire, form: dict[str, Any]) -> "Result[Any] | RemoteSuspended":
    """Return what came of a run. Where the server says that it is not over, it is waited for."""
    if isinstance(form["status"], int):
        raise problem_error(form)
    if form["status"] == "suspended":
        return RemoteSuspended(wire, form)
    if form["status"] == "done":
        return result_of(form)
    raise Problem(
        503, "run_paused", "the server paused the run as it ended", remedy="ask for the run again", run=form["id"]
    )


def _tell(on_event: Callable[[Event], None] | None, name: str, data: Any) -> None:
    event = None if on_event is None else _event(name, data)
    if event is not None and on_event is not None:
        on_event(event)


def _event(name: str, data: Any) -> Event | None:
    if name == "output":
        return Output(data["stream"], data["text"])
    if name in ("tool_started", "tool_finished"):
        record = record_of({"outcome": "running", "seconds": None, **data})
        return ToolStarted(record) if name == "tool_started" else ToolFinished(record)
    return None


def _tools(given: Iterable[Any]) -> list[Any]:
    from cloche.host_tools.registry import registry_of

    return list(registry_of(list(given)).values()) if given else []


def _session_form(
    tools: list[Any],
    limits: Limits | None,
    budget: SessionBudget | None,
    snapshot: str | None,
    durable: str | None,
    idle: float | None,
    life: float | None,
    labels: Mapping[str, str] | None,
) -> dict[str, Any]:
    asked = {
        "tools": [
            {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.schema,
                "suspend": tool.suspend,
                "approval": tool.approval,
                "is_async": tool.is_async,
            }
            for tool in tools
        ],
        "limits": _changed(limits),
        "budget": None if budget is None else budget.as_dict(),
        "snapshot": snapshot,
        "durable": durable,
        "idle": idle,
        "life": life,
        "labels": None if labels is None else dict(labels),
    }
    return {key: value for key, value in asked.items() if value}


def _changed(limits: Limits | None) -> dict[str, Any]:
    """Return limits that differ from the defaults: the others are the tenant's."""
    if limits is None:
        return {}
    usual = Limits()
    return {name: value for name, value in limits_form(limits).items() if value != getattr(usual, name)}


def _run_form(code: str, stdin: str | None, limits: Limits | None, id: str | None = None) -> dict[str, Any]:
    asked = {"code": code, "stdin": stdin, "limits": _changed(limits), "id": id}
    return {key: value for key, value in asked.items() if value is not None and value != {}}


def _resume_form(token: str, answers: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    given = {
        str(id): {key: to_form(value) if key == "value" else value for key, value in answer.items()}
        for id, answer in answers.items()
    }
    return {"token": token, "answers": given}


def _answers(
    values: Mapping[int, Any] | None,
    errors: Mapping[int, BaseException] | None,
    approve: Iterable[int],
    deny: Mapping[int, str] | None,
) -> dict[int, dict[str, Any]]:
    given: dict[int, dict[str, Any]] = {id: {"value": value} for id, value in (values or {}).items()}
    for id, error in (errors or {}).items():
        given[id] = {"error": {"type": type(error).__name__, "message": str(error)}}
    given.update({id: {"approve": True} for id in approve})
    given.update({id: {"deny": reason} for id, reason in (deny or {}).items()})
    return given


def _call(form: dict[str, Any]) -> SuspendedCall:
    args, kwargs = from_form(form["args"]), from_form(form["kwargs"])
    return SuspendedCall(form["id"], form["name"], args, kwargs, form["line"], form["needs_approval"])


def _as_bytes(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _dict(form: Any) -> dict[str, Any]:
    return dict(form)
