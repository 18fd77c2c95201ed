"""OpenAI's API: a tenant's agents are models, and a container of its code interpreter is a session.

A conversation is recognised by its messages, or by ``previous_response_id``: each turn is a run that begins where the
one before it ended. The model ``python`` is none: the text that it is given is the program, which a container runs.
"""

import asyncio
import base64
import binascii
import json
import posixpath
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cloche.agent.values import fenced
from cloche.runtime.bridge.protocol import is_list
from cloche.serve.agents import AgentRun, AgentRunForm, AgentRuns, CallAnswerForm, OriginForm
from cloche.serve.chat import (
    AGREES,
    ChatAnswer,
    Pieces,
    Turn,
    answer_chat,
    answer_response,
    as_object,
    error_body,
    model_shown,
    models_shown,
    question_text,
)
from cloche.serve.forms import Endpoint, Problem, dumps, read_body, read_parts
from cloche.serve.gateway import Gateway
from cloche.serve.protocols.agui import Threads, read_object
from cloche.serve.protocols.cells import Cells
from cloche.serve.sessions import ServedSession, new_id, not_found
from cloche.serve.tenants import Tenant

__all__ = ["Containers", "Models"]

_Json = dict[str, Any]

_LABEL: Final = "container"
_HOME: Final = "/mnt/data"
_MODEL: Final = "python"
_MINUTES: Final = 20
_MAX_MINUTES: Final = 43_200
_MAX_NAME: Final = 256
_MAX_TASK: Final = 200_000
_MAX_IMAGES: Final = 16


class Containers:
    """The handlers. Each gets the tenant whose key the request has."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self._home, self._cells = gateway, gateway.home, Cells(gateway)

    def endpoints(self) -> list[Endpoint]:
        """Return the routes."""
        one = "/v1/containers/{id}"
        routes = (
            ("POST", "/v1/containers", self.create_container),
            ("GET", "/v1/containers", self.list_containers),
            ("GET", one, self.get_container),
            ("DELETE", one, self.delete_container),
            ("POST", f"{one}/files", self.create_container_file),
            ("GET", f"{one}/files", self.list_container_files),
            ("GET", f"{one}/files/{{file}}", self.get_container_file),
            ("GET", f"{one}/files/{{file}}/content", self.get_container_content),
            ("DELETE", f"{one}/files/{{file}}", self.delete_container_file),
        )
        return [Endpoint(*route[:2], route[2].__name__, route[2], None, _refusal) for route in routes]

    # Containers.

    async def create_container(self, tenant: Tenant, request: Request) -> Response:
        """Create a container."""
        form = await read_object(request, self._gateway)
        name, expires = form.get("name", ""), form.get("expires_after")
        minutes: Any = _MINUTES if expires is None else as_object(expires).get("minutes")
        if not isinstance(name, str) or len(name) > _MAX_NAME:
            raise Problem(400, "bad_request", f"name: write text of up to {_MAX_NAME} characters")
        if type(minutes) is not int or not 0 < minutes <= _MAX_MINUTES:
            raise Problem(400, "bad_request", f"expires_after: write minutes between 1 and {_MAX_MINUTES:,}")
        for unknown in ("file_ids", "skills"):
            if form.get(unknown):
                raise Problem(400, "bad_request", f"{unknown}: there are none here; upload files to the container")
        return _answer(_shown(await self._created(tenant, name, minutes)))

    async def _created(self, tenant: Tenant, name: str, minutes: int) -> ServedSession:
        asked: _Json = {"labels": {_LABEL: json.dumps([name, minutes])}, "life": minutes * 60.0}
        if tenant.config.durable == "never":
            asked["durable"] = "idle"
        session = await self._home.create(tenant, asked)
        try:
            await self._cells.prepare(session)
            await self._cells.ask(session, "forget", context="", cwd=_HOME)
        except BaseException:
            self._home.background(self._home.delete(session))
            raise
        return session

    async def list_containers(self, tenant: Tenant, request: Request) -> Response:
        """List containers, a page at a time."""
        after, text = request.query_params.get("after", ""), request.query_params.get("limit", "20")
        if not (text.isdecimal() and len(text) < 4 and 0 < int(text) <= 100):
            raise Problem(400, "bad_request", "limit: write a number between 1 and 100")
        found: list[ServedSession] = []
        while len(found) <= int(text):
            rows = await self._gateway.ledger.read(self._gateway.ledger.sessions, tenant.name, after, 100)
            found += [ServedSession(row, tenant) for row in rows if f'"{_LABEL}"' in row.spec]
            if len(rows) < 100:
                break
            after = rows[-1].id
        page = [_shown(session) for session in found[: int(text)]]
        return _answer(_listed(page, len(found) > int(text)))

    async def get_container(self, tenant: Tenant, request: Request) -> Response:
        """Show a container."""
        return _answer(_shown(await self._container(tenant, request.path_params["id"])))

    async def delete_container(self, tenant: Tenant, request: Request) -> Response:
        """End a container."""
        session = await self._container(tenant, request.path_params["id"])
        await self._home.delete(session)
        return _answer({"id": session.id, "object": "container.deleted", "deleted": True})

    async def _container(self, tenant: Tenant, id: str) -> ServedSession:
        session = await self._home.find(tenant, id)
        if _LABEL not in session.spec["labels"]:
            raise not_found("container")
        return session

    async def _used(self, tenant: Tenant, id: str) -> ServedSession:
        """Return a container to be used: it expires so many minutes from now."""
        session = await self._container(tenant, id)
        await self._home.renew(session, None, _about(session)[1] * 60.0)
        return session

    # Files.

    async def create_container_file(self, tenant: Tenant, request: Request) -> Response:
        """Write a file into a container."""
        session, config = await self._used(tenant, request.path_params["id"]), self._home.config
        body = await read_body(request, config.max_body, config.body_seconds)
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise Problem(400, "bad_request", "file_id: there are no files beside those of containers: send the file")
        parts = await read_parts(request, body, 1)
        name = posixpath.basename(parts[0][0]) if parts else ""
        if not name or name in (".", "..") or "\0" in name or len(name) > _MAX_NAME:
            raise Problem(400, "bad_request", "file: send one, with a name")
        path = f"{_HOME}/{name}"
        async with self._cells.turn(session):
            await self._gateway.ask(session, "put_file", path, parts[0][1])
        return _answer(_file(session, path, len(parts[0][1]), time.time()))

    async def list_container_files(self, tenant: Tenant, request: Request) -> Response:
        """List a container's files."""
        session = await self._used(tenant, request.path_params["id"])
        entries = (await self._stat(session, "ListDir", _HOME, depth=16)).get("entries")
        found = [_entry(session, each) for each in entries] if is_list(entries) else []
        return _answer(_listed([each for each in found if each is not None], False))

    async def get_container_file(self, tenant: Tenant, request: Request) -> Response:
        """Show a file."""
        session = await self._used(tenant, request.path_params["id"])
        shown = _entry(session, (await self._stat(session, "Stat", _path(request))).get("entry"))
        if shown is None:
            raise not_found("file")
        return _answer(shown)

    async def get_container_content(self, tenant: Tenant, request: Request) -> Response:
        """Return a file's content."""
        session = await self._used(tenant, request.path_params["id"])
        async with self._cells.turn(session):
            data = await self._gateway.ask(session, "get_file", _path(request))
        headers = {"x-content-type-options": "nosniff", "content-disposition": "attachment"}
        return Response(data, 200, headers, "application/octet-stream")

    async def delete_container_file(self, tenant: Tenant, request: Request) -> Response:
        """Remove a file."""
        session = await self._used(tenant, request.path_params["id"])
        await self._stat(session, "Remove", _path(request))
        return _answer({"id": request.path_params["file"], "object": "container.file.deleted", "deleted": True})

    async def _stat(self, session: ServedSession, do: str, path: str, **more: Any) -> _Json:
        async with self._cells.turn(session):
            found: Any = await self._cells.ask(session, do, path=path, **more)
        shown = as_object(found)
        if "code" in shown:
            is_missing = shown["code"] == "not_found"
            raise not_found("file") if is_missing else Problem(400, "bad_request", str(shown.get("message"))[:500])
        return shown

    # Runs.

    async def respond(self, tenant: Tenant, form: _Json) -> Response:
        """Run a program in a container, as the model ``python``."""
        code, wanted = _program(form.get("input")), _wanted(form.get("tools"))
        if isinstance(wanted, str):
            session = await self._used(tenant, wanted)
        else:
            session = await self._created(tenant, "", _MINUTES)
        call = _Call(session.id, code)
        run = await self._cells.begin(session, code)
        events = self._cells.events(session, run)
        if form.get("stream"):
            headers = {"cache-control": "no-store"}
            return StreamingResponse(_stream(call, events), media_type="text/event-stream", headers=headers)
        async with aclosing(events):
            async for event in events:
                call.take(event)
        return _answer(call.response("completed"))


class Models:
    """A tenant's agents as models, whole and streamed. Each handler gets the tenant whose key the request has."""

    def __init__(self, gateway: Gateway, runs: AgentRuns, containers: Containers) -> None:
        self._gateway, self._runs, self._containers = gateway, runs, containers
        self._threads = Threads(runs, "chat")
        self._started = int(time.time())

    def endpoints(self) -> list[Endpoint]:
        """Return the routes."""
        routes = (
            ("GET", "/v1/models", self.list_models),
            ("GET", "/v1/models/{name}", self.get_model),
            ("POST", "/v1/chat/completions", self.complete),
            ("POST", "/v1/responses", self.respond),
        )
        return [Endpoint(*route[:2], route[2].__name__, _as_refusals(route[2]), None, _refusal) for route in routes]

    async def list_models(self, tenant: Tenant, request: Request) -> Response:
        """List the agents, and ``python``."""
        return models_shown((*tenant.config.agents, _MODEL), self._started)

    async def get_model(self, tenant: Tenant, request: Request) -> Response:
        """Show an agent."""
        return model_shown(self._agent(tenant, request.path_params["name"], _MODEL), self._started)

    async def complete(self, tenant: Tenant, request: Request) -> Response:
        """Answer the latest message of a chat."""
        return await answer_chat(request, await read_object(request, self._gateway), partial(self._begun, tenant))

    async def respond(self, tenant: Tenant, request: Request) -> Response:
        """Answer an input: as an agent, or as ``python`` by running it."""
        body = await read_object(request, self._gateway)
        if body.get("model") == _MODEL:
            return await self._containers.respond(tenant, body)
        return await answer_response(request, body, partial(self._begun, tenant))

    def _agent(self, tenant: Tenant, name: object, *others: str) -> str:
        if not isinstance(name, str) or name not in (*tenant.config.agents, *others):
            known = ", ".join((*tenant.config.agents, _MODEL))
            raise Problem(404, "model_not_found", f"there is no model {str(name)[:100]!r}; there are: {known}")
        return name

    async def _begun(
        self, tenant: Tenant, model: object, before: str, turn: Turn, after: Callable[[str], str]
    ) -> Pieces:
        """Begin a turn, or take it as the decision about a call that waits; return what comes of it. Raises Problem."""
        agent = self._agent(tenant, model)
        known = [run for run in (await self._runs.of(tenant)).values() if run.row["agent"] == agent]
        run = next((run for run in reversed(known) if run.row.get("turn") == before), None)
        if run is not None and run.status == "waiting":
            count = len((await self._runs.log(run)).events)
            await self._runs.answer(tenant, run, run.row["calls"][0]["id"], _decision(turn.task))
            return self._pieces(tenant, run, count, turn.task, after)
        if any(image.url for image in turn.images):
            raise Problem(400, "bad_request", "an image at an address is not fetched: send it inline")
        known_run = run is not None and run.status == "done"
        form = AgentRunForm(
            agent=agent,
            task=(turn.task if known_run else turn.task_with_history())[:_MAX_TASK] or "Go on.",
            id=f"chat.{new_id('r')[2:]}",
            origin=OriginForm(run=run.id) if run is not None and known_run else None,
            images=[image.data for image in turn.images][:_MAX_IMAGES],
        )
        return self._pieces(tenant, await self._runs.create(tenant, form), 0, None, after)

    async def _pieces(
        self, tenant: Tenant, run: AgentRun, count: int, decision: str | None, after: Callable[[str], str]
    ) -> Pieces:
        """Yield what a run thinks and does, and its answer. A client that goes away ends it. Raises HTTPException."""
        result: _Json = {}
        answer: ChatAnswer | None = None
        try:
            async for item in (await self._runs.log(run)).follow(count):
                if item is None:
                    continue
                form = json.loads(item[2])
                if item[1] == "waiting" and decision is not None:
                    # One message decides on all of a program's calls.
                    await self._runs.answer(tenant, run, run.row["calls"][0]["id"], _decision(decision))
                elif item[1] == "waiting":
                    break
                elif item[1] == "run_ended" and form["agent"] == (run.row.get("name") or form["agent"]):
                    result = form
                elif said := _reasoning(item[1], form):
                    yield said
            if run.status != "waiting" and result.get("output") is None:
                raise HTTPException(502, str(result.get("error") or run.row["state"])[:2_000])
            usage = as_object(result.get("usage"))
            text = _question(run) if run.status == "waiting" else _text_of(result["output"])
            answer = ChatAnswer(text, usage.get("input_tokens", 0), usage.get("output_tokens", 0))
            run.row["turn"] = after(text)
            await asyncio.to_thread(run.save, events=False)
            yield answer
        finally:
            if answer is None:
                self._gateway.home.background(self._runs.stop(tenant, run))


def _as_refusals(handler: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Return a handler that answers a refusal of the shapes as such."""

    async def handle(tenant: Tenant, request: Request) -> Response:
        try:
            return await handler(tenant, request)
        except HTTPException as refusal:
            response = _answer(error_body(refusal))
            response.status_code = refusal.status_code
            return response

    return handle


def _decision(text: str) -> CallAnswerForm:
    if text.strip().lower().rstrip(".!") in AGREES:
        return CallAnswerForm(approve=True)
    return CallAnswerForm(deny=text[:10_000])


def _question(run: AgentRun) -> str:
    return question_text((call["name"], json.dumps(call["arguments"])) for call in run.row["calls"])


def _text_of(output: Any) -> str:
    return output if isinstance(output, str) else json.dumps(output)


def _reasoning(name: str, form: _Json) -> str:
    """Return an event as lines of reasoning; empty for one that a user need not see."""
    if name == "code_started":
        return f"{fenced(str(form['code']).strip(), 'python')}\n"
    if name == "printed":
        return str(form["text"])
    error = as_object(form.get("error")) if name == "step_ended" else {}
    return f"\n{error.get('type')}: {error.get('message')}\n" if error else ""


class _Call:
    """One call of the code interpreter, and the response around it."""

    def __init__(self, container: str, code: str) -> None:
        self.id, self._made = new_id("resp"), int(time.time())
        self._container, self._code = container, code
        self._logs: list[str] = []
        self._images: list[str] = []
        self._failed = False

    def take(self, event: _Json) -> None:
        """Take an event of the cell."""
        kind = event["type"]
        if kind in ("stdout", "stderr"):
            self._logs.append(event["text"])
        elif kind == "result":
            self._logs.append(f"{event.get('text', '')}\n")
            self._images += [f"data:image/{name};base64,{event[name]}" for name in ("png", "jpeg") if name in event]
        elif kind == "error":
            self._logs.append(event["traceback"])
            self._failed = True

    def text(self) -> str:
        """Return what was printed and shown, as one text."""
        return "".join(self._logs)

    def item(self, status: str) -> _Json:
        """Return the call as an item of the response's output."""
        outputs = [{"type": "logs", "logs": self.text()}] if self._logs else []
        return {
            "id": f"ci_{self.id}",
            "type": "code_interpreter_call",
            "status": "failed" if status == "completed" and self._failed else status,
            "code": self._code,
            "container_id": self._container,
            "outputs": [*outputs, *({"type": "image", "url": url} for url in self._images)],
        }

    def message(self) -> _Json:
        """Return the answer as an item of the response's output."""
        part = {"type": "output_text", "text": self.text(), "annotations": list[Any]()}
        id = f"msg_{self.id}"
        return {"id": id, "type": "message", "role": "assistant", "status": "completed", "content": [part]}

    def response(self, status: str) -> _Json:
        """Return the whole response."""
        done = status == "completed"
        nothing = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._made,
            "model": _MODEL,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "output": [self.item(status), self.message()] if done else [],
            "parallel_tool_calls": False,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [{"type": "code_interpreter", "container": self._container}],
            "top_p": None,
            "usage": {**nothing, **details} if done else None,
        }


async def _stream(call: _Call, events: AsyncGenerator[_Json, None]) -> AsyncGenerator[bytes, None]:
    number = 0

    def line(kind: str, **content: Any) -> bytes:
        nonlocal number
        number += 1
        data = dumps({"type": f"response.{kind}", "sequence_number": number - 1, **content})
        return b"event: response.%b\ndata: %b\n\n" % (kind.encode(), data)

    place: _Json = {"output_index": 0, "item_id": f"ci_{call.id}"}
    code = call.item("in_progress")["code"]
    yield line("created", response=call.response("in_progress"))
    yield line("output_item.added", output_index=0, item=call.item("in_progress"))
    yield line("code_interpreter_call.in_progress", **place)
    yield line("code_interpreter_call_code.delta", delta=code, **place)
    yield line("code_interpreter_call_code.done", code=code, **place)
    yield line("code_interpreter_call.interpreting", **place)
    async with aclosing(events):
        async for event in events:
            call.take(event)
            if event["type"] == "keepalive":
                yield b": waiting\n\n"
    yield line("code_interpreter_call.completed", **place)
    yield line("output_item.done", output_index=0, item=call.item("completed"))
    message = call.message()
    part = message["content"][0]
    place = {"item_id": message["id"], "output_index": 1, "content_index": 0}
    yield line("output_item.added", output_index=1, item={**message, "status": "in_progress", "content": []})
    yield line("content_part.added", part={**part, "text": ""}, **place)
    yield line("output_text.delta", delta=part["text"], logprobs=[], **place)
    yield line("output_text.done", text=part["text"], logprobs=[], **place)
    yield line("content_part.done", part=part, **place)
    yield line("output_item.done", output_index=1, item=message)
    yield line("completed", response=call.response("completed"))


# What comes in.


def _program(given: object) -> str:
    """Return the program of a request: its text, or the latest message's."""
    if is_list(given) and given:
        last = as_object(given[-1]).get("content")
        given = "\n".join(str(as_object(part).get("text", "")) for part in last) if is_list(last) else last
    if not isinstance(given, str) or not given.strip():
        raise Problem(400, "bad_request", "input: write the program as text")
    return given


def _wanted(tools: object) -> str | None:
    """Return the container that a request names; None for a new one."""
    found = [each for each in map(as_object, tools) if each.get("type") == "code_interpreter"] if is_list(tools) else []
    if len(found) != 1:
        raise Problem(400, "bad_request", "tools: name the code_interpreter, with its container")
    container = found[0].get("container")
    return container if isinstance(container, str) else None


def _path(request: Request) -> str:
    """Return the path of a file by its id. Raises Problem."""
    id: str = request.path_params["file"].removeprefix("cfile_")
    try:
        path = base64.urlsafe_b64decode(id + "=" * (-len(id) % 4)).decode()
    except (binascii.Error, ValueError):
        raise not_found("file") from None
    if posixpath.normpath(path) != path or not path.startswith(f"{_HOME}/") or "\0" in path:
        raise not_found("file")
    return path


# What comes out.


def _about(session: ServedSession) -> tuple[str, int]:
    name, minutes = json.loads(session.spec["labels"][_LABEL])
    return name, minutes


def _shown(session: ServedSession) -> _Json:
    name, minutes = _about(session)
    row = session.row
    return {
        "id": row.id,
        "object": "container",
        "created_at": int(row.created),
        "status": "running",
        "expires_after": {"anchor": "last_active_at", "minutes": minutes},
        "last_active_at": int(row.expires - session.spec["life"]),
        "name": name,
    }


def _file(session: ServedSession, path: str, size: int, made: float) -> _Json:
    return {
        "id": f"cfile_{base64.urlsafe_b64encode(path.encode()).rstrip(b'=').decode()}",
        "object": "container.file",
        "container_id": session.id,
        "path": path,
        "bytes": size,
        "created_at": int(made),
        "source": "user",
    }


def _entry(session: ServedSession, given: object) -> _Json | None:
    """Return a file as the guest describes it; None for a folder, and for what is no description."""
    entry = as_object(given)
    path, size = entry.get("path"), entry.get("size")
    if entry.get("type") != "FILE_TYPE_FILE" or not isinstance(path, str) or not isinstance(size, str):
        return None
    is_number = size.isdecimal() and len(size) < 16
    return _file(session, path, int(size) if is_number else 0, session.row.created)


def _listed(page: list[_Json], has_more: bool) -> _Json:
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return {"object": "list", "data": page, "first_id": first, "last_id": last, "has_more": has_more}


def _answer(form: Any, status: int = 200) -> Response:
    return Response(dumps(form), status, {"cache-control": "no-store"}, "application/json")


def _refusal(problem: Problem) -> Response:
    """Return a problem as OpenAI's API says it."""
    response = _answer(error_body(HTTPException(problem.status, str(problem)), problem.code))
    response.status_code = problem.status
    if problem.retry_after is not None:
        response.headers["retry-after"] = str(max(1, round(problem.retry_after + 0.499)))
    return response
