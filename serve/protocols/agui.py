"""AG-UI 1.0 over a tenant's agents: ``POST /ag-ui/NAME`` takes a RunAgentInput and answers with its events.

A thread of the protocol is a series of runs, each of which begins where the one before it ended. A call that waits for
a person ends the protocol's run with an interrupt; the next one's ``resume`` answers it, and the agent's run goes on.
"""

import hashlib
import json
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cloche.runtime.bridge.protocol import is_list
from cloche.serve.agents import AgentRun, AgentRunForm, AgentRuns, CallAnswerForm, OriginForm
from cloche.serve.forms import Endpoint, Problem, dumps, read_body
from cloche.serve.gateway import Gateway
from cloche.serve.sessions import new_id
from cloche.serve.tenants import Tenant

__all__ = ["AgUi", "Threads", "as_object", "as_objects", "read_object"]

_Json = dict[str, Any]

_MAX_ID: Final = 256
_MAX_MESSAGES: Final = 2_000
_MAX_IMAGES: Final = 16
_CODE: Final = "python"
"""What a program of the agent is called among its tools."""


async def read_object(request: Request, gateway: Gateway) -> _Json:
    """Return a request's body, an object. Raises Problem."""
    config = gateway.home.config
    body = await read_body(request, config.max_body, config.body_seconds)
    try:
        form: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(400, "bad_request", "the body is no JSON") from None
    if not isinstance(form, dict):
        raise Problem(400, "bad_request", "the body is no object")
    return cast("_Json", form)


def as_object(value: object) -> _Json:
    """Return a value that came in if it is an object, else an empty one."""
    return cast("_Json", value) if isinstance(value, dict) else {}


def as_objects(value: object) -> list[_Json]:
    """Return the items of a value that came in, as objects; none if it is no list."""
    return [as_object(each) for each in value] if is_list(value) else []


class Threads:
    """Conversations of a protocol: series of runs that are found by what the client calls them."""

    def __init__(self, runs: AgentRuns, protocol: str) -> None:
        self.runs, self._protocol = runs, protocol

    def _prefix(self, agent: str, thread: str) -> str:
        named = hashlib.sha256(json.dumps([agent, thread]).encode()).hexdigest()[:24]
        return f"{self._protocol}.{named}."

    async def all(self, tenant: Tenant, agent: str, thread: str) -> list[AgentRun]:
        """Return a thread's runs, the oldest first."""
        prefix = self._prefix(agent, thread)
        return [run for id, run in (await self.runs.of(tenant)).items() if id.startswith(prefix)]

    async def begin(self, tenant: Tenant, agent: str, thread: str, task: str, images: list[str]) -> AgentRun:
        """Begin the thread's next run, where its latest one ended. Raises Problem."""
        known = await self.all(tenant, agent, thread)
        before = [run for run in known if run.status == "done" and run.row["state"] != "lost"]
        id = f"{self._prefix(agent, thread)}{new_id('r')[2:]}"
        origin = OriginForm(run=before[-1].id) if before else None
        if agent not in tenant.config.agents:
            raise Problem(404, "not_found", "there is no such agent")
        return await self.runs.create(tenant, AgentRunForm(agent=agent, task=task, id=id, origin=origin, images=images))


class AgUi:
    """The handler, and the events that it answers with."""

    def __init__(self, gateway: Gateway, runs: AgentRuns) -> None:
        self._gateway, self._threads = gateway, Threads(runs, "agui")

    def endpoints(self) -> list[Endpoint]:
        """Return the route."""
        return [Endpoint("POST", "/ag-ui/{agent}", "ag_ui", self.run)]

    async def run(self, tenant: Tenant, request: Request) -> Response:
        """Run an agent, or resume it, and send what happens."""
        form, agent = await read_object(request, self._gateway), str(request.path_params["agent"])
        thread, id = _id(form, "threadId"), _id(form, "runId")
        runs, resumed = self._threads.runs, form.get("resume")
        answers: dict[str, CallAnswerForm] = {}
        known = await self._threads.all(tenant, agent, thread)
        waiting = next((run for run in known if run.status == "waiting"), None)
        if resumed:
            if waiting is None:
                raise Problem(409, "not_interrupted", "no run of this thread waits for an answer")
            answers = _answers(resumed, waiting)
            if await self._expires(waiting) < time.time():
                await self._threads.runs.stop(tenant, waiting)
                raise Problem(410, "interrupt_expired", "the interrupt has expired, and its run is over")
            run, after = waiting, len((await runs.log(waiting)).events)
        elif waiting is not None:
            raise Problem(409, "interrupted", "this thread waits for an answer", remedy="send it as resume")
        else:
            task, images = _task(form)
            run, after = await self._threads.begin(tenant, agent, thread, task, images), 0
        request.state.audit = {"run": run.id}
        events = self._events(tenant, run, after, answers, {"threadId": thread, "runId": id})
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(events, headers=headers, media_type="text/event-stream")

    async def _expires(self, run: AgentRun) -> float:
        """Return when a run's calls stop being answerable, in seconds since the epoch."""
        log = await self._threads.runs.log(run)
        asked = [json.loads(data)["time"] for name, data in log.events if name == "waiting"]
        return float(asked[-1] if asked else run.row["created"]) + self._gateway.home.config.token_life

    async def _events(
        self, tenant: Tenant, run: AgentRun, after: int, answers: dict[str, CallAnswerForm], ids: _Json
    ) -> AsyncGenerator[bytes, None]:
        """Yield a run's events; a client that goes away ends it."""
        shown = _Shown(run)
        runs, finished = self._threads.runs, False
        try:
            yield _line("RUN_STARTED", **ids, protocolVersion="1.0")
            yield _line("STATE_SNAPSHOT", snapshot=shown.state())
            await self._answer(tenant, run, answers)
            async for item in (await runs.log(run)).follow(after):
                if item is None:
                    yield b": waiting\n\n"
                    continue
                for line in shown.take(item[1], json.loads(item[2])):
                    yield line
                if item[1] == "waiting" and not await self._answer(tenant, run, answers):
                    finished = True
                    outcome = {"type": "interrupt", "interrupts": await self._interrupts(run, shown)}
                    for line in shown.close():
                        yield line
                    yield _line("RUN_FINISHED", **ids, outcome=outcome)
                    return
            finished = True
            for line in shown.close():
                yield line
            yield shown.end(ids)
        except Problem as problem:
            finished = True
            yield _line("RUN_ERROR", message=str(problem), code=problem.code)
        finally:
            if not finished:
                self._gateway.home.background(self._threads.runs.stop(tenant, run))

    async def _answer(self, tenant: Tenant, run: AgentRun, answers: dict[str, CallAnswerForm]) -> bool:
        """Give one of the calls that wait its answer, if there is one."""
        for call in run.row["calls"]:
            form = answers.pop(call["id"], None)
            if form is not None:
                await self._threads.runs.answer(tenant, run, call["id"], form)
                return True
        return False

    async def _interrupts(self, run: AgentRun, shown: "_Shown") -> list[_Json]:
        until = datetime.fromtimestamp(await self._expires(run), UTC).isoformat().replace("+00:00", "Z")
        return [
            {
                "id": f"{run.id}:{call['id']}",
                "reason": "approval" if call["needs_approval"] else "value",
                "message": f"{call['name']}() waits for {'approval' if call['needs_approval'] else 'its value'}",
                "responseSchema": _response_schema(call),
                "expiresAt": until,
                "metadata": {"tool": call["name"], "arguments": call["arguments"]},
                **({"toolCallId": id} if (id := shown.open_call(call["name"])) else {}),
            }
            for call in run.row["calls"]
        ]


class _Shown:
    """One run as the protocol's events: what is begun is ended, in its order."""

    def __init__(self, run: AgentRun) -> None:
        self._run = run
        self._steps: list[str] = []
        self._calls: dict[str, str] = {}
        self._thought = ""
        self._has_pieces = False
        self._result: _Json = {}

    def state(self) -> _Json:
        """Return what is shared with the client as state."""
        row = self._run.row
        return {"agent": row["agent"], "run": row["id"], "used": row["used"], "budget": row.get("budget", {})}

    def take(self, name: str, form: _Json) -> list[bytes]:
        """Take an event of the run; return the protocol's."""
        make = getattr(self, f"_on_{name}", None)
        lines: list[bytes] = [] if make is None else make(form)
        return lines

    def close(self) -> list[bytes]:
        """Return the ends of what is begun."""
        lines = self._end_thought()
        while self._steps:
            lines.append(_line("STEP_FINISHED", stepName=self._steps.pop()))
        return [*lines, self._delta()]

    def end(self, ids: _Json) -> bytes:
        """Return the last event of a run that is over."""
        result, row = self._result, self._run.row
        if result.get("output") is None and row["state"] != "success":
            if row["state"] == "interrupted":
                return _line("RUN_FINISHED", **ids, outcome={"type": "cancelled"})
            return _line("RUN_ERROR", message=str(result.get("error") or row["state"])[:2_000], code=row["state"])
        usage = as_object(result.get("usage"))
        counts = {"inputTokens": usage.get("input_tokens", 0), "outputTokens": usage.get("output_tokens", 0)}
        return _line("RUN_FINISHED", **ids, result=result.get("output"), outcome={"type": "success"}, usage=[counts])

    def open_call(self, tool: str) -> str:
        """Return the id of the latest call of that tool that has no result; empty if there is none."""
        return next((id for id, name in reversed(self._calls.items()) if name == tool), "")

    def _delta(self) -> bytes:
        return _line("STATE_DELTA", delta=[{"op": "replace", "path": "/used", "value": self._run.row["used"]}])

    # Events of the run, by name.

    def _on_step_started(self, form: _Json) -> list[bytes]:
        self._steps.append(f"{form['agent'] or self._run.row['agent']}: step {form['number']}")
        return [_line("STEP_STARTED", stepName=self._steps[-1])]

    def _on_step_ended(self, form: _Json) -> list[bytes]:
        step = f"{form['agent'] or self._run.row['agent']}: step {form['number']}"
        lines = self._end_thought()
        if step in self._steps:
            self._steps.remove(step)
            lines.append(_line("STEP_FINISHED", stepName=step))
        return [*lines, self._delta()]

    def _on_text_delta(self, form: _Json) -> list[bytes]:
        self._has_pieces = True
        return self._think(form["text"])

    def _on_model_finished(self, form: _Json) -> list[bytes]:
        had_pieces, self._has_pieces = self._has_pieces, False
        return [*([] if had_pieces else self._think(form["text"])), *self._end_thought()]

    def _on_plan_made(self, form: _Json) -> list[bytes]:
        plan = as_object(form.get("step")).get("plan")
        return [*self._think(str(plan)), *self._end_thought()] if plan else []

    def _on_code_started(self, form: _Json) -> list[bytes]:
        return self._begin_call(f"code-{new_id('c')[2:10]}", _CODE, {"code": form["code"]})

    def _on_code_finished(self, form: _Json) -> list[bytes]:
        value = form.get("value")
        said = form["error"] or (value if isinstance(value, str) else "" if value is None else json.dumps(value))
        text = "\n".join(filter(None, (form["stdout"].rstrip("\n"), form["stderr"].rstrip("\n"), said)))
        return self._end_call(self.open_call(_CODE), text)

    def _on_tool_call_started(self, form: _Json) -> list[bytes]:
        given = form["arguments"]
        # By name, where all are.
        by_name = isinstance(given, dict) and given.keys() == {"args", "kwargs"} and not given["args"]
        return self._begin_call(f"{self._run.id}-{form['call']}", form["tool"], given["kwargs"] if by_name else given)

    def _on_tool_call_ended(self, form: _Json) -> list[bytes]:
        return self._end_call(f"{self._run.id}-{form['call']}", str(form["value"]))

    def _on_run_ended(self, form: _Json) -> list[bytes]:
        if form["agent"] != (self._run.row.get("name") or form["agent"]):
            return []
        self._result = form
        output = form["output"]
        if output is None:
            return self._end_thought()
        text, id = output if isinstance(output, str) else json.dumps(output), new_id("m")
        return [
            *self._end_thought(),
            _line("TEXT_MESSAGE_START", messageId=id, role="assistant"),
            *([_line("TEXT_MESSAGE_CONTENT", messageId=id, delta=text)] if text else []),
            _line("TEXT_MESSAGE_END", messageId=id),
        ]

    # Their parts.

    def _think(self, text: str) -> list[bytes]:
        if not text:
            return []
        lines: list[bytes] = []
        if not self._thought:
            id = self._thought = new_id("t")
            lines = [
                _line("REASONING_START", messageId=id),
                _line("REASONING_MESSAGE_START", messageId=id, role="reasoning"),
            ]
        return [*lines, _line("REASONING_MESSAGE_CONTENT", messageId=self._thought, delta=text)]

    def _end_thought(self) -> list[bytes]:
        id, self._thought = self._thought, ""
        return [_line("REASONING_MESSAGE_END", messageId=id), _line("REASONING_END", messageId=id)] if id else []

    def _begin_call(self, id: str, tool: str, arguments: Any) -> list[bytes]:
        self._calls[id] = tool
        return [
            *self._end_thought(),
            _line("TOOL_CALL_START", toolCallId=id, toolCallName=tool),
            _line("TOOL_CALL_ARGS", toolCallId=id, delta=json.dumps(arguments)),
            _line("TOOL_CALL_END", toolCallId=id),
        ]

    def _end_call(self, id: str, text: str) -> list[bytes]:
        # One that was begun before an interrupt is the earlier stream's to show.
        if self._calls.pop(id, None) is None:
            return []
        return [_line("TOOL_CALL_RESULT", messageId=new_id("m"), toolCallId=id, content=text, role="tool")]


def _line(kind: str, **content: Any) -> bytes:
    return b"data: %b\n\n" % dumps({"type": kind, "timestamp": int(time.time() * 1000), **content})


def _response_schema(call: _Json) -> _Json:
    """Return what an answer to a call looks like, made of the tool's own schema."""
    if not call["needs_approval"]:
        return {"type": "object", "properties": {"value": {}}, "required": ["value"]}
    properties = {
        "approved": {"type": "boolean"},
        "reason": {"type": "string", "description": "why it is denied"},
        "arguments": {**call["schema"], "description": "corrected arguments, in place of the agent's"},
    }
    return {"type": "object", "properties": properties, "required": ["approved"]}


def _answers(resumed: object, run: AgentRun) -> dict[str, CallAnswerForm]:
    """Return the answers of ``resume`` by call. Raises Problem for one that answers no call of the run."""
    calls = {call["id"]: call for call in run.row["calls"]}
    answers: dict[str, CallAnswerForm] = {}
    for entry in as_objects(resumed):
        owner, _, id = str(entry.get("interruptId", "")).rpartition(":")
        call = calls.get(id)
        if owner != run.id or call is None:
            raise Problem(400, "bad_request", "resume: an entry answers no interrupt of this thread")
        payload = entry.get("payload")
        given = as_object(payload)
        if entry.get("status") != "resolved":
            answers[id] = CallAnswerForm(deny=_reason(given, "cancelled by the user"))
        elif not call["needs_approval"]:
            answers[id] = CallAnswerForm(value=given.get("value", payload))
        elif given.get("approved") is True or payload is True:
            edited = given.get("arguments")
            corrected: _Json = {"arguments": edited} if isinstance(edited, dict) else {}
            answers[id] = CallAnswerForm(approve=True, **corrected)
        else:
            answers[id] = CallAnswerForm(deny=_reason(given, "denied by the user"))
    if not answers:
        raise Problem(400, "bad_request", "resume: write the answers as a list")
    return answers


def _reason(given: _Json, default: str) -> str:
    return str(given.get("reason") or default)[:10_000]


def _id(form: _Json, name: str) -> str:
    id = form.get(name)
    if not isinstance(id, str) or not 0 < len(id) <= _MAX_ID:
        raise Problem(400, "bad_request", f"{name}: write text of up to {_MAX_ID} characters")
    return id


def _task(form: _Json) -> tuple[str, list[str]]:
    """Return the user's latest message, with the context of the request, and its images in base64."""
    messages = form.get("messages")
    if not is_list(messages) or not 0 < len(messages) <= _MAX_MESSAGES:
        raise Problem(400, "bad_request", f"messages: write 1 to {_MAX_MESSAGES:,}")
    last = as_object(messages[-1])
    if last.get("role") != "user":
        raise Problem(400, "bad_request", "messages: the last one is not the user's")
    content, texts, images = last.get("content"), list[str](), list[str]()
    for part in as_objects(content) or [{"type": "text", "text": content}]:
        text = part.get("text")
        if part.get("type") == "text" and isinstance(text, str):
            texts.append(text)
        source = as_object(part.get("source"))
        if part.get("type") == "image" and source.get("type") == "data" and isinstance(source.get("value"), str):
            images.append(source["value"])
    for each in as_objects(form.get("context")):
        texts.append(f"{each.get('description')}: {each.get('value')}")
    task = "\n\n".join(texts).strip()
    if not task or len(task) > 200_000 or len(images) > _MAX_IMAGES:
        raise Problem(400, "bad_request", f"messages: write text, and {_MAX_IMAGES} images at most")
    return task, images
