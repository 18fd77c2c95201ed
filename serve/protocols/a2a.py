"""A2A 1.0 over a tenant's agents: a card, and tasks by JSON-RPC, at ``/a2a/NAME``.

A task is a run; a context is a series of them, each of which begins where the one before it ended. A call that waits
for a person is a task that wants input: the next message of that task answers it.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cloche.runtime._imports import installed_version
from cloche.serve.agents import AgentRun, AgentRuns, CallAnswerForm
from cloche.serve.forms import Endpoint, Problem, dumps
from cloche.serve.gateway import Gateway
from cloche.serve.protocols.agui import Threads, as_object, as_objects, read_object
from cloche.serve.sessions import new_id
from cloche.serve.tenants import Tenant

__all__ = ["A2A"]

_Json = dict[str, Any]

_VERSION: Final = "1.0"
_MAX_ID: Final = 256
_MAX_TEXT: Final = 200_000
_MAX_IMAGES: Final = 16
_AGREES: Final = frozenset({"approve", "approved", "yes", "ok"})
_STATES: Final = {"running": "WORKING", "waiting": "INPUT_REQUIRED", "success": "COMPLETED", "interrupted": "CANCELED"}
_PARSE, _REQUEST, _METHOD, _PARAMS, _NO_TASK, _NOT_CANCELABLE = -32700, -32600, -32601, -32602, -32001, -32002
_UNSUPPORTED, _PUSH, _INTERNAL = -32004, -32003, -32603


class _Refused(Exception):
    """A call that is answered with an error of JSON-RPC."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


class A2A:
    """The handlers. Each gets the tenant whose key the request has."""

    def __init__(self, gateway: Gateway, runs: AgentRuns) -> None:
        self._gateway, self._threads, self._runs = gateway, Threads(runs, "a2a"), runs

    def endpoints(self) -> list[Endpoint]:
        """Return the routes."""
        return [
            Endpoint("GET", "/a2a/{agent}/.well-known/agent-card.json", "a2a_card", self.card),
            Endpoint("POST", "/a2a/{agent}", "a2a", self.call),
        ]

    async def card(self, tenant: Tenant, request: Request) -> Response:
        """Show the agent's card."""
        name = request.path_params["agent"]
        described = [each for each in await self._runs.describe(tenant) if each["name"] == name]
        if not described:
            raise Problem(404, "not_found", "there is no such agent")
        url = str(request.url.replace(path=f"/a2a/{name}", query=""))
        about = described[0]
        skills = [
            _skill(name, about["description"]),
            *(_skill(each["name"], each["description"]) for each in about["tools"]),
        ]
        card: _Json = {
            "name": name,
            "description": about["description"] or f"The agent {name}",
            "version": installed_version(),
            "supportedInterfaces": [{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": _VERSION}],
            "capabilities": {"streaming": True, "pushNotifications": False},
            "defaultInputModes": ["text/plain", "image/png", "image/jpeg"],
            "defaultOutputModes": ["text/plain"],
            "skills": skills,
            "securitySchemes": {"key": {"httpAuthSecurityScheme": {"scheme": "Bearer"}}},
            "securityRequirements": [{"schemes": {"key": {"list": []}}}],
        }
        return _answer(card)

    async def call(self, tenant: Tenant, request: Request) -> Response:
        """Carry out a call."""
        form: _Json = {}
        try:
            try:
                form = await read_object(request, self._gateway)
            except Problem as problem:
                if problem.code != "bad_request":
                    raise
                raise _Refused(_PARSE, problem.message) from None
            method, params = form.get("method"), form.get("params", {})
            if form.get("jsonrpc") != "2.0" or not isinstance(method, str) or not isinstance(params, dict):
                raise _Refused(_REQUEST, "this is no call of JSON-RPC 2.0")
            agent = request.path_params["agent"]
            if agent not in tenant.config.agents:
                raise Problem(404, "not_found", "there is no such agent")
            return await self._called(tenant, agent, method, cast("_Json", params), form.get("id"), request)
        except _Refused as refused:
            return _answer(_error(form.get("id"), refused.code, refused.message))

    async def _called(
        self, tenant: Tenant, agent: str, method: str, params: _Json, id: object, request: Request
    ) -> Response:
        try:
            if method in ("SendMessage", "SendStreamingMessage"):
                run, after = await self._sent(tenant, agent, as_object(params.get("message")))
                request.state.audit = {"run": run.id}
                if method == "SendStreamingMessage":
                    return self._streamed(run, id, after)
                if not as_object(params.get("configuration")).get("returnImmediately"):
                    await self._settled(run)
                return _answer(_result(id, {"task": await self._task(run)}))
            if method == "SubscribeToTask":
                run = await self._run(tenant, agent, params)
                if run.status == "done":
                    raise _Refused(_UNSUPPORTED, "the task is over")
                return self._streamed(run, id, len((await self._runs.log(run)).events))
            if method == "GetTask":
                return _answer(_result(id, await self._task(await self._run(tenant, agent, params))))
            if method == "ListTasks":
                return _answer(_result(id, await self._listed(tenant, agent, params)))
            if method == "CancelTask":
                run = await self._run(tenant, agent, params)
                if not await self._runs.stop(tenant, run):
                    raise _Refused(_NOT_CANCELABLE, "the task is over")
                await self._settled(run)
                return _answer(_result(id, await self._task(run)))
        except Problem as problem:
            if problem.status in (429, 503):
                raise
            code = _NO_TASK if problem.status == 404 else _INTERNAL if problem.status >= 500 else _PARAMS
            raise _Refused(code, str(problem)) from None
        if "PushNotification" in method:
            raise _Refused(_PUSH, "there are no push notifications")
        raise _Refused(_METHOD, f"there is no method {method[:100]!r}")

    # What the calls do.

    async def _run(self, tenant: Tenant, agent: str, params: _Json) -> AgentRun:
        """Return a task's run. Raises Problem: one of another tenant or agent does not exist."""
        run = await self._runs.find(tenant, _text(params, "id"))
        if run.row["agent"] != agent or not run.id.startswith("a2a."):
            raise Problem(404, "not_found", "there is no such task")
        return run

    async def _sent(self, tenant: Tenant, agent: str, message: _Json) -> tuple[AgentRun, int]:
        """Begin a task with a message, or answer one that waits. Return its run, and how many events it had."""
        text, images, data = _content(message)
        if message.get("taskId"):
            run = await self._run(tenant, agent, {"id": message["taskId"]})
            after = len((await self._runs.log(run)).events)
            if run.status != "waiting":
                raise _Refused(_UNSUPPORTED, "the task does not wait for a message: send one without its taskId")
            call = run.row["calls"][0]
            await self._runs.answer(tenant, run, call["id"], _decision(call, text, data))
            return run, after
        if not text:
            raise _Refused(_PARAMS, "message: it has no text")
        context = str(message.get("contextId") or new_id("c"))[:_MAX_ID]
        run = await self._threads.begin(tenant, agent, context, text, images)
        run.row["context"] = context
        return run, 0

    async def _settled(self, run: AgentRun) -> None:
        """Wait until a run is over or wants an answer."""
        log = await self._runs.log(run)
        while run.status == "running":
            await log.changed(1.0)

    async def _listed(self, tenant: Tenant, agent: str, params: _Json) -> _Json:
        size = params.get("pageSize") or 50
        if type(size) is not int or not 0 < size <= 100:
            raise _Refused(_PARAMS, "pageSize: write a number between 1 and 100")
        wanted, state, token = params.get("contextId"), params.get("status"), params.get("pageToken")
        all_runs = (await self._runs.of(tenant)).values()
        known = [run for run in all_runs if run.row["agent"] == agent and run.id.startswith("a2a.")]
        found = [
            run
            for run in reversed(known)
            if (not wanted or run.row.get("context") == wanted)
            and (state in (None, "", "TASK_STATE_UNSPECIFIED") or _state(run) == state)
        ]
        start = next((place + 1 for place, run in enumerate(found) if run.id == token), 0)
        page = found[start : start + size]
        more = page[-1].id if page and start + size < len(found) else ""
        tasks = [await self._task(run) for run in page]
        return {"tasks": tasks, "nextPageToken": more, "pageSize": size, "totalSize": len(found)}

    def _streamed(self, run: AgentRun, id: object, after: int) -> Response:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._lines(run, id, after), headers=headers, media_type="text/event-stream")

    async def _lines(self, run: AgentRun, id: object, after: int) -> AsyncGenerator[bytes, None]:
        """Yield a task and what becomes of it. A client that goes away leaves it running: it can subscribe again."""

        def line(**result: Any) -> bytes:
            return b"data: %b\n\n" % dumps(_result(id, result))

        yield line(task=await self._task(run))
        async for item in (await self._runs.log(run)).follow(after):
            if item is None:
                yield b": waiting\n\n"
                continue
            form = json.loads(item[2])
            said = _said(item[1], form)
            if said:
                yield line(statusUpdate=self._update(run, "WORKING", said))
            elif item[1] == "run_ended" and form["agent"] == (run.row.get("name") or form["agent"]):
                for artifact in _artifacts(run, form):
                    yield line(artifactUpdate={**_place(run), "artifact": artifact, "lastChunk": True})
            elif item[1] == "waiting":
                yield line(statusUpdate={**_place(run), "status": await self._status(run)})
                return
        # The log is closed a moment before the run's row says so to others; both are there now.
        await asyncio.sleep(0)
        yield line(statusUpdate={**_place(run), "status": await self._status(run)})

    # What a run looks like.

    async def _task(self, run: AgentRun) -> _Json:
        events = (await self._runs.log(run)).events
        ended = [json.loads(data) for name, data in events if name == "run_ended"]
        own = [form for form in ended if form["agent"] == (run.row.get("name") or form["agent"])]
        message = {"messageId": f"{run.id}-task", "role": "ROLE_USER", "parts": [{"text": run.row["task"]}]}
        return {
            "id": run.id,
            "contextId": _place(run)["contextId"],
            "status": await self._status(run),
            "history": [message],
            "artifacts": _artifacts(run, own[-1]) if own else [],
            "metadata": {"used": run.row["used"]},
        }

    async def _status(self, run: AgentRun) -> _Json:
        status: _Json = {"state": _state(run), "timestamp": _time(run.row["ended"] or time.time())}
        if run.status == "waiting":
            call = run.row["calls"][0]
            what = "approval: answer approve, or say why not" if call["needs_approval"] else "its value: answer with it"
            text = f"{call['name']}({_arguments(call['arguments'])}) waits for {what}"
            status["message"] = _message(run, [{"text": text}, {"data": {"call": call}}])
        elif run.status == "done" and run.row["state"] not in ("success", "interrupted"):
            events = (await self._runs.log(run)).events
            over = [json.loads(data) for name, data in events if name in ("over", "run_ended")]
            errors = [form["error"] for form in over if form.get("error")]
            status["message"] = _message(run, [{"text": str(errors[-1] if errors else run.row["state"])[:2_000]}])
        return status

    def _update(self, run: AgentRun, state: str, text: str) -> _Json:
        status = {
            "state": f"TASK_STATE_{state}",
            "message": _message(run, [{"text": text}]),
            "timestamp": _time(time.time()),
        }
        return {**_place(run), "status": status}


def _place(run: AgentRun) -> _Json:
    return {"taskId": run.id, "contextId": run.row.get("context", run.id)}


def _state(run: AgentRun) -> str:
    key = run.row["state"] if run.status == "done" else run.status
    return f"TASK_STATE_{_STATES.get(key, 'FAILED')}"


def _said(name: str, form: _Json) -> str:
    """Return what of an event is worth a line to the client's user; empty for nothing."""
    if name == "code_started":
        return str(form["code"])
    if name == "printed":
        return str(form["text"])
    if name == "tool_call_started":
        return f"{form['tool']}({json.dumps(form['arguments'])[:2_000]})"
    return ""


def _artifacts(run: AgentRun, ended: _Json) -> list[_Json]:
    output = ended["output"]
    if output is None:
        return []
    part = {"text": output} if isinstance(output, str) else {"data": output}
    return [{"artifactId": f"{run.id}-answer", "name": "answer", "parts": [part]}]


def _message(run: AgentRun, parts: list[_Json]) -> _Json:
    return {"messageId": new_id("m"), **_place(run), "role": "ROLE_AGENT", "parts": parts}


def _arguments(arguments: _Json) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in arguments.items())[:2_000]


def _skill(name: str, description: str) -> _Json:
    return {"id": name, "name": name, "description": description or name, "tags": ["python"]}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


# What comes in.


def _content(message: _Json) -> tuple[str, list[str], _Json]:
    """Return a message's text, its images in base64, and its data."""
    texts, images, data = list[str](), list[str](), dict[str, Any]()
    for part in as_objects(message.get("parts")):
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part.get("raw"), str) and str(part.get("mediaType", "")).startswith("image/"):
            images.append(part["raw"])
        else:
            data |= as_object(part.get("data"))
    text = "\n\n".join(texts).strip()
    if len(text) > _MAX_TEXT or len(images) > _MAX_IMAGES:
        raise _Refused(_PARAMS, f"message: {_MAX_TEXT:,} characters and {_MAX_IMAGES} images at most")
    return text, images, data


def _decision(call: _Json, text: str, data: _Json) -> CallAnswerForm:
    """Return what a message says to a call that waits: data, or words."""
    if not call["needs_approval"]:
        return CallAnswerForm(value=data.get("value", text))
    if data.get("approved") is True or text.lower().rstrip(".!") in _AGREES:
        edited = data.get("arguments")
        corrected: _Json = {"arguments": edited} if isinstance(edited, dict) else {}
        return CallAnswerForm(approve=True, **corrected)
    return CallAnswerForm(deny=str(data.get("reason") or text or "denied")[:10_000])


def _text(params: _Json, name: str) -> str:
    text = params.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_ID:
        raise _Refused(_PARAMS, f"{name}: write text")
    return text


# What goes out.


def _result(id: object, result: _Json) -> _Json:
    return {"jsonrpc": "2.0", "id": id if isinstance(id, str | int) else None, "result": result}


def _error(id: object, code: int, message: str) -> _Json:
    known = id if isinstance(id, str | int) else None
    return {"jsonrpc": "2.0", "id": known, "error": {"code": code, "message": message}}


def _answer(form: Any) -> Response:
    return Response(dumps(form), 200, {"cache-control": "no-store"}, "application/json")
