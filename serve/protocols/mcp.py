"""MCP over streamable HTTP at ``/mcp``, with the tenants' keys: programs, sessions and files as tools.

Each tenant has a server of its own, so that nothing of one can be asked for by another. The SDK's session manager does
the protocol; requests reach it behind the same gate as all others, with their bodies read and bounded.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager
from importlib import resources
from typing import Annotated, Any, Final

from mcp.server.apps import Apps
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent, ToolAnnotations
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cloche.host_tools.external.mcp_serving import (
    ACTS,
    INSTRUCTIONS,
    READS,
    FileContent,
    Path,
    SessionId,
    cut,
    file_bytes,
    file_content,
)
from cloche.runtime._imports import installed_version
from cloche.runtime.errors import ConfigurationError
from cloche.serve.agents import AgentRun, AgentRuns, CallAnswerForm
from cloche.serve.forms import Problem, read_body
from cloche.serve.gateway import Gateway
from cloche.serve.nodes import NODE_MARK
from cloche.serve.protocols.agui import Threads
from cloche.serve.protocols.cells import Cells
from cloche.serve.sessions import ServedSession, new_id, not_found
from cloche.serve.tenants import Tenant, TenantConfig

__all__ = ["McpServers"]

_LABEL: Final = "mcp"
_MAX_SESSIONS: Final = 200
"""Connections of one tenant's clients, each with a session of the protocol."""
_PAGE: Final = "ui://cloche/run.html"
_DECIDES = ToolAnnotations(destructive_hint=True, open_world_hint=True)
"""Of the tool by which a person decides: a client asks its user, and does not let its model decide alone."""
_MAX_IMAGES: Final = 8
_MAX_IMAGE_BYTES: Final = 4 << 20
_MAX_LOG: Final = 20_000
_DRAWINGS: Final = "cloche/svg"
_CONNECTION: Final = b"mcp-session-id"


class McpServers:
    """The tenants' servers, each made when its first client comes."""

    def __init__(self, gateway: Gateway, runs: AgentRuns) -> None:
        self._gateway, self._cells, self._runs = gateway, Cells(gateway), runs
        self._servers: dict[str, tuple[TenantConfig, asyncio.Future[StreamableHTTPSessionManager], asyncio.Event]] = {}

    async def answer(self, tenant: Tenant, request: Request) -> Response:
        """Have the tenant's server answer a request. Raises Problem."""
        config = self._gateway.home.config
        has_body = request.method == "POST"
        body = await read_body(request, config.max_body, config.body_seconds) if has_body else b""
        node = self._gateway.home.membership.name
        return _Handover(await self._manager(tenant), body, "" if node is None else f"{node}{NODE_MARK}")

    async def _manager(self, tenant: Tenant) -> StreamableHTTPSessionManager:
        known = self._servers.get(tenant.name)
        if known is not None and known[0] is not tenant.config:
            # Its keys may be others now: connections begin anew.
            known[2].set()
            known = None
        if known is None:
            ready: asyncio.Future[StreamableHTTPSessionManager] = asyncio.get_running_loop().create_future()
            known = self._servers[tenant.name] = tenant.config, ready, asyncio.Event()
            self._gateway.home.background(self._serve(tenant, ready, known[2]))
        return await asyncio.shield(known[1])

    async def _serve(
        self, tenant: Tenant, ready: "asyncio.Future[StreamableHTTPSessionManager]", ended: asyncio.Event
    ) -> None:
        """Keep a server until it is replaced, or the gateway ends."""
        apps = Apps()
        if tenant.config.agents:
            _AgentTools(self._gateway, Threads(self._runs, "mcp"), tenant).add_to(apps)
        server = _TenantTools(self._gateway, self._cells, tenant).server(apps)
        manager = StreamableHTTPSessionManager(
            server._lowlevel_server,  # pyright: ignore[reportPrivateUsage]
            max_request_body_size=self._gateway.home.config.max_body,
            max_sessions=_MAX_SESSIONS,
        )
        async with manager.run():
            ready.set_result(manager)
            await ended.wait()


class _Handover(Response):
    """A response that the SDK's session manager makes, of a request whose body is here.

    Ids of connections begin with ``prefix`` on the wire, which says where they are.
    """

    def __init__(self, manager: StreamableHTTPSessionManager, body: bytes, prefix: str) -> None:
        super().__init__()
        self._manager, self._body, self._prefix = manager, body, prefix.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have it made."""
        unread = True

        async def replay() -> Any:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": self._body, "more_body": False}
            return await receive()

        async def tell(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [self._told(*each) for each in message["headers"]]}
            await send(message)

        own = {**scope, "headers": [self._asked(*each) for each in scope["headers"]]}
        await self._manager.handle_request(own, replay, tell)

    def _asked(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        return name, value.removeprefix(self._prefix) if name.lower() == _CONNECTION else value

    def _told(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        return name, self._prefix + value if name.lower() == _CONNECTION else value


class _TenantTools:
    """What one tenant's clients can call."""

    def __init__(self, gateway: Gateway, cells: Cells, tenant: Tenant) -> None:
        self._gateway, self._home, self._cells, self._tenant = gateway, gateway.home, cells, tenant

    def server(self, apps: Apps) -> MCPServer[Any]:
        """Return a server with these tools, beside those that have a page in the user's chat already."""
        page = resources.files("cloche.serve.protocols").joinpath("programs", "run.html").read_text("utf-8")
        apps.tool(resource_uri=_PAGE, annotations=ACTS)(self.run_python)
        apps.add_html_resource(_PAGE, page, title="A run")
        server: MCPServer[Any] = MCPServer(
            "cloche",
            instructions=INSTRUCTIONS,
            version=installed_version(),
            log_level="WARNING",
            extensions=[apps],
        )
        acts: list[Callable[..., Any]] = [self.open_session, self.close_session, self.put_file]
        reads: list[Callable[..., Any]] = [self.list_sessions, self.get_file, self.list_files]
        for tool in (*acts, *reads):
            server.add_tool(tool, annotations=READS if tool in reads else ACTS)
        return server

    async def run_python(
        self,
        code: Annotated[str, Field(description="the program; the value of its last expression is returned")],
        ctx: Context[Any, Any],
        session: Annotated[str | None, Field(description="run in this session; default: a fresh interpreter")] = None,
        time: Annotated[float | None, Field(description="seconds it may take, if less than the limit", gt=0)] = None,
    ) -> CallToolResult:
        """Run a Python program in a sandbox and return what it prints and shows, and its value."""
        with _tool_errors():
            async with self._used(session) as used:
                run = await self._cells.begin(used, code, limits={} if time is None else {"time": time})
                outcome = _Outcome()
                async with aclosing(self._cells.events(used, run)) as events:
                    async for event in events:
                        if (said := outcome.take(event)) is not None:
                            await ctx.report_progress(outcome.count, message=said)
        return outcome.result()

    async def open_session(self) -> dict[str, str]:
        """Open a session, in which variables, functions, imports and files are kept from run to run."""
        with _tool_errors():
            return {"session": (await self._opened({})).id}

    async def close_session(self, session: SessionId) -> dict[str, str]:
        """Close a session and forget what is in it."""
        with _tool_errors():
            await self._home.delete(await self._session(session))
        return {"closed": session}

    async def list_sessions(self) -> list[str]:
        """Return the ids of the open sessions, up to 100."""
        ledger = self._gateway.ledger
        rows = await ledger.read(ledger.sessions, self._tenant.name, "", 1_000)
        return [row.id for row in rows if f'"{_LABEL}"' in row.spec][:100]

    async def put_file(
        self,
        session: SessionId,
        path: Path,
        text: Annotated[str | None, Field(description="the content, if it is text")] = None,
        data: Annotated[str | None, Field(description="the content in base64, if it is not")] = None,
    ) -> dict[str, Any]:
        """Write a file in a session."""
        with _tool_errors():
            content = file_bytes(text, data)
            await self._asked(session, "put_file", path, content)
        return {"path": path, "size": len(content)}

    async def get_file(self, session: SessionId, path: Path) -> FileContent:
        """Return a file of a session, as text if it is UTF-8 and as base64 if not."""
        with _tool_errors():
            content: bytes = await self._asked(session, "get_file", path)
        return file_content(path, content)

    async def list_files(self, session: SessionId, path: Path = "/work") -> list[str]:
        """Return the paths of all files below a folder of a session."""
        with _tool_errors():
            found: list[str] = await self._asked(session, "list_files", path)
        return found

    # What they share.

    async def _session(self, id: str) -> ServedSession:
        session = await self._home.find(self._tenant, id)
        if _LABEL not in session.spec["labels"]:
            raise not_found("session: open_session starts one")
        return session

    async def _opened(self, asked: dict[str, Any]) -> ServedSession:
        session = await self._home.create(self._tenant, {"labels": {_LABEL: "1"}, **asked})
        try:
            await self._cells.prepare(session)
        except BaseException:
            self._home.background(self._home.delete(session))
            raise
        return session

    @asynccontextmanager
    async def _used(self, id: str | None) -> AsyncGenerator[ServedSession, None]:
        """Give the session of that id, or one that ends with the block."""
        if id is not None:
            yield await self._session(id)
            return
        session = await self._opened({"durable": "never", "idle": 5.0})
        try:
            yield session
        finally:
            self._home.background(self._home.delete(session))

    async def _asked(self, id: str, method: str, *arguments: Any) -> Any:
        session = await self._session(id)
        async with self._cells.turn(session):
            return await self._gateway.ask(session, method, *arguments)


class _AgentTools:
    """A tenant's agents as tools, and one that answers the calls that wait for a person; all show the page of a run."""

    def __init__(self, gateway: Gateway, threads: Threads, tenant: Tenant) -> None:
        self._home, self._threads, self._tenant = gateway.home, threads, tenant

    def add_to(self, apps: Apps) -> None:
        """Add them to what has a page."""
        for agent in self._tenant.config.agents:
            description = f"Have the agent {agent} do a task; return its answer, or the call that waits for a person."
            add = apps.tool(resource_uri=_PAGE, name=f"ask_{agent}", description=description, annotations=ACTS)
            add(self._asks(agent))
        apps.tool(resource_uri=_PAGE, annotations=_DECIDES)(self.answer_call)

    def _asks(self, agent: str) -> Callable[..., Any]:
        async def ask(
            task: Annotated[str, Field(description="what it is to do", min_length=1, max_length=200_000)],
            ctx: Context[Any, Any],
            conversation: Annotated[str, Field(description="goes on where the last task of that name ended")] = "",
        ) -> CallToolResult:
            with _tool_errors():
                thread = conversation[:256] or new_id("c")
                run = await self._threads.begin(self._tenant, agent, thread, task, [])
                return await self._followed(run, 0, ctx)

        return ask

    async def answer_call(
        self,
        run: Annotated[str, Field(description="the run that waits")],
        approve: Annotated[bool, Field(description="whether the call is made")],
        ctx: Context[Any, Any],
        reason: Annotated[str, Field(description="why it is denied", max_length=10_000)] = "",
        arguments: Annotated[dict[str, Any] | None, Field(description="corrected arguments, by name")] = None,
        call: Annotated[str, Field(description="which one of several; default: the first")] = "",
    ) -> CallToolResult:
        """Approve or deny the call of an agent that waits for a person, as that decides; return what comes of it."""
        with _tool_errors():
            found = await self._threads.runs.find(self._tenant, run)
            if not found.row["calls"]:
                raise ToolError("no call of that run waits")
            which = call or found.row["calls"][0]["id"]
            after = len((await self._threads.runs.log(found)).events)
            corrected: dict[str, Any] = {} if arguments is None else {"arguments": arguments}
            form = CallAnswerForm(approve=True, **corrected) if approve else CallAnswerForm(deny=reason or "denied")
            await self._threads.runs.answer(self._tenant, found, which, form)
            return await self._followed(found, after, ctx)

    async def _followed(self, run: AgentRun, after: int, ctx: Context[Any, Any]) -> CallToolResult:
        """Follow a run until it is over or waits; being cancelled ends it."""
        outcome = _AgentOutcome(run)
        try:
            async for item in (await self._threads.runs.log(run)).follow(after):
                if item is None:
                    continue
                if item[1] == "waiting":
                    break
                if said := outcome.take(item[1], json.loads(item[2])):
                    await ctx.report_progress(outcome.told, message=said)
        except asyncio.CancelledError:
            self._home.background(self._threads.runs.stop(self._tenant, run))
            raise
        return outcome.result()


class _AgentOutcome:
    """What comes of a run of an agent: for the client's model its answer, and for its user what happened, too."""

    def __init__(self, run: AgentRun) -> None:
        self._run = run
        self._result: dict[str, Any] = {}
        self._images: list[ContentBlock] = []
        self._drawings: list[str] = []
        """As SVG, which models are not shown: for the page only."""
        self._bytes = 0
        self._log = ""
        self.told = 0

    def take(self, name: str, form: dict[str, Any]) -> str:
        """Take an event; return what is worth telling at once."""
        if name == "run_ended" and form["agent"] == (self._run.row.get("name") or form["agent"]):
            self._result = form
        elif name == "display" and form["media_type"] in ("image/png", "image/jpeg", "image/svg+xml"):
            self._bytes += len(form["data"])
            if len(self._images) + len(self._drawings) < _MAX_IMAGES and self._bytes <= _MAX_IMAGE_BYTES:
                if form["media_type"] == "image/svg+xml":
                    self._drawings.append(form["data"])
                else:
                    self._images.append(ImageContent(type="image", data=form["data"], mime_type=form["media_type"]))
        said = _progress(name, form)
        self.told += bool(said)
        if said and len(self._log) < _MAX_LOG:
            self._log += said if name == "printed" else f"{said}\n"
        return said

    def result(self) -> CallToolResult:
        """Return the whole of it."""
        row, output = self._run.row, self._result.get("output")
        shown: dict[str, Any] = {"run": self._run.id, "state": row["state"] or self._run.status, "output": output}
        if self._run.status == "waiting":
            shown["waits"] = row["calls"]
        failed = self._run.status == "done" and output is None and row["state"] != "success"
        text = str(self._result.get("error") or row["state"]) if failed else json.dumps(shown, indent=1)
        content = [TextContent(type="text", text=cut(text)), *self._images]
        used = {**shown, "agent": row["agent"], "task": row["task"][:_MAX_LOG], "log": self._log, "used": row["used"]}
        meta = {_DRAWINGS: self._drawings} if self._drawings else None
        return CallToolResult(content=content, structured_content=used, is_error=failed, _meta=meta)


def _progress(name: str, form: dict[str, Any]) -> str:
    """Return what of an agent's event is worth a line; empty for nothing."""
    if name == "step_started":
        return f"{form['agent'] or 'the agent'}: step {form['number']}"
    if name == "tool_call_started":
        return _called(form["tool"], form["arguments"])
    return str(form["text"])[:1_000] if name == "printed" else ""


def _called(tool: str, given: dict[str, Any]) -> str:
    is_apart = given.keys() == {"args", "kwargs"}
    by_place: list[Any] = given["args"] if is_apart else []
    by_name: dict[str, Any] = given["kwargs"] if is_apart else given
    parts = [*map(json.dumps, by_place), *(f"{name}={json.dumps(value)}" for name, value in by_name.items())]
    return f"{tool}({', '.join(parts)[:500]})"


class _Outcome:
    """What comes of a program, as a client's model reads it."""

    def __init__(self) -> None:
        self.count = 0
        self._printed: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._shown: list[str] = []
        self._images: list[ContentBlock] = []
        self._error: dict[str, Any] | None = None

    def take(self, event: dict[str, Any]) -> str | None:
        """Take an event of a cell; return what is worth telling at once."""
        kind = event["type"]
        if kind in self._printed:
            self.count += 1
            self._printed[kind].append(event["text"])
            return str(event["text"])[:1_000]
        if kind == "result":
            self._shown.append(str(event.get("text", "")))
            for name in ("png", "jpeg"):
                if name in event:
                    self._images.append(ImageContent(type="image", data=event[name], mime_type=f"image/{name}"))
        elif kind == "error":
            self._error = {"type": event["name"], "message": event["value"], "traceback": event["traceback"]}
        return None

    def result(self) -> CallToolResult:
        """Return the whole of it, each part cut with a note of how much is missing."""
        stdout, stderr, value = (cut("".join(each)) for each in (*self._printed.values(), "\n".join(self._shown)))
        error = [] if self._error is None else [self._error["traceback"].rstrip()]
        titled = [f"{title}: {text}" for title, text in (("stderr", stderr), ("value", value)) if text]
        text = "\n".join([*filter(None, [stdout]), *titled, *error])
        said = TextContent(type="text", text=text or "The program ran to its end, printed nothing and has no value.")
        structured = {"stdout": stdout, "stderr": stderr, "value": value or None, "error": self._error}
        return CallToolResult(content=[said, *self._images], structured_content=structured, is_error=bool(error))


@contextmanager
def _tool_errors() -> Generator[None, None, None]:
    """Turn a problem into the SDK's error, whose text the client sees."""
    try:
        yield
    except (Problem, ConfigurationError, ValueError) as problem:
        raise ToolError(str(problem)) from problem
