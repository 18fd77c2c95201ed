"""MCP over streamable HTTP at ``/mcp``, with the tenants' keys: programs, sessions and files as tools.

Each tenant has a server of its own, so that nothing of one can be asked for by another. The SDK's session manager does
the protocol; requests reach it behind the same gate as all others, with their bodies read and bounded.
"""

import asyncio
import base64
import binascii
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

from cloche.runtime._imports import installed_version
from cloche.runtime.errors import ConfigurationError
from cloche.serve.agents import AgentRun, AgentRuns, CallAnswerForm
from cloche.serve.forms import Problem, read_body
from cloche.serve.gateway import Gateway
from cloche.serve.protocols.agui import Threads
from cloche.serve.protocols.cells import Cells
from cloche.serve.sessions import ServedSession, new_id, not_found
from cloche.serve.tenants import Tenant, TenantConfig

__all__ = ["McpServers"]

_LABEL: Final = "mcp"
_MAX_CHARACTERS: Final = 50_000
_MAX_SESSIONS: Final = 200
"""Connections of one tenant's clients, each with a session of the protocol."""
_PAGE: Final = "ui://cloche/run.html"
_INSTRUCTIONS: Final = """\
Runs Python 3.13 programs in a sealed interpreter: no network, no processes, no files but its own in /work and /tmp.
run_python without a session starts from nothing each time; open_session keeps variables and files between runs.
"""
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_ACTS = ToolAnnotations(destructive_hint=False, open_world_hint=False)

_Session = Annotated[str, Field(description="the id that open_session returned")]
_Path = Annotated[str, Field(description="absolute, or relative to /work")]


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
        return _Handover(await self._manager(tenant), body)

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
        server = _TenantTools(self._gateway, self._cells, tenant).server()
        if tenant.config.agents:
            _AgentTools(self._gateway, Threads(self._runs, "mcp"), tenant).add_to(server)
        manager = StreamableHTTPSessionManager(
            server._lowlevel_server,  # pyright: ignore[reportPrivateUsage]
            max_request_body_size=self._gateway.home.config.max_body,
            max_sessions=_MAX_SESSIONS,
        )
        async with manager.run():
            ready.set_result(manager)
            await ended.wait()


class _Handover(Response):
    """A response that the SDK's session manager makes, of a request whose body is here."""

    def __init__(self, manager: StreamableHTTPSessionManager, body: bytes) -> None:
        super().__init__()
        self._manager, self._body = manager, body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have it made."""
        unread = True

        async def replay() -> Any:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": self._body, "more_body": False}
            return await receive()

        await self._manager.handle_request(scope, replay, send)


class _TenantTools:
    """What one tenant's clients can call."""

    def __init__(self, gateway: Gateway, cells: Cells, tenant: Tenant) -> None:
        self._gateway, self._home, self._cells, self._tenant = gateway, gateway.home, cells, tenant

    def server(self) -> MCPServer[Any]:
        """Return a server with these tools."""
        page = resources.files("cloche.serve.protocols").joinpath("programs", "run.html").read_text("utf-8")
        apps = Apps()
        apps.tool(resource_uri=_PAGE, annotations=_ACTS)(self.run_python)
        apps.add_html_resource(_PAGE, page, title="A program's output")
        server: MCPServer[Any] = MCPServer(
            "cloche",
            instructions=_INSTRUCTIONS,
            version=installed_version(),
            log_level="WARNING",
            extensions=[apps],
        )
        acts: list[Callable[..., Any]] = [self.open_session, self.close_session, self.put_file]
        reads: list[Callable[..., Any]] = [self.list_sessions, self.get_file, self.list_files]
        for tool in (*acts, *reads):
            server.add_tool(tool, annotations=_READS if tool in reads else _ACTS)
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

    async def close_session(self, session: _Session) -> dict[str, str]:
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
        session: _Session,
        path: _Path,
        text: Annotated[str | None, Field(description="the content, if it is text")] = None,
        data: Annotated[str | None, Field(description="the content in base64, if it is not")] = None,
    ) -> dict[str, Any]:
        """Write a file in a session."""
        with _tool_errors():
            content = _content(text, data)
            await self._asked(session, "put_file", path, content)
        return {"path": path, "size": len(content)}

    async def get_file(self, session: _Session, path: _Path) -> dict[str, Any]:
        """Return a file of a session, as text if it is UTF-8 and as base64 if not."""
        with _tool_errors():
            content: bytes = await self._asked(session, "get_file", path)
        try:
            return {"path": path, "size": len(content), "text": content.decode(), "base64": None}
        except UnicodeDecodeError:
            return {"path": path, "size": len(content), "text": None, "base64": base64.b64encode(content).decode()}

    async def list_files(self, session: _Session, path: _Path = "/work") -> list[str]:
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
    """A tenant's agents as tools, and one that answers the calls that wait for a person."""

    def __init__(self, gateway: Gateway, threads: Threads, tenant: Tenant) -> None:
        self._home, self._threads, self._tenant = gateway.home, threads, tenant

    def add_to(self, server: MCPServer[Any]) -> None:
        """Add them to a server."""
        for agent in self._tenant.config.agents:
            description = f"Have the agent {agent} do a task; return its answer, or the call that waits for a person."
            server.add_tool(self._asks(agent), name=f"ask_{agent}", description=description, annotations=_ACTS)
        server.add_tool(self.answer_call, annotations=_ACTS)

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
    ) -> CallToolResult:
        """Approve or deny the call of an agent that waits for a person, and return what comes of it."""
        with _tool_errors():
            found = await self._threads.runs.find(self._tenant, run)
            if not found.row["calls"]:
                raise ToolError("no call of that run waits")
            after = len((await self._threads.runs.log(found)).events)
            corrected: dict[str, Any] = {} if arguments is None else {"arguments": arguments}
            form = CallAnswerForm(approve=True, **corrected) if approve else CallAnswerForm(deny=reason or "denied")
            await self._threads.runs.answer(self._tenant, found, found.row["calls"][0]["id"], form)
            return await self._followed(found, after, ctx)

    async def _followed(self, run: AgentRun, after: int, ctx: Context[Any, Any]) -> CallToolResult:
        """Follow a run until it is over or waits; being cancelled ends it."""
        runs, told, result = self._threads.runs, 0, dict[str, Any]()
        try:
            async for item in (await runs.log(run)).follow(after):
                if item is None:
                    continue
                form = json.loads(item[2])
                if item[1] == "waiting":
                    break
                if item[1] == "run_ended" and form["agent"] == (run.row.get("name") or form["agent"]):
                    result = form
                if said := _progress(item[1], form):
                    told += 1
                    await ctx.report_progress(told, message=said)
        except asyncio.CancelledError:
            self._home.background(self._threads.runs.stop(self._tenant, run))
            raise
        shown: dict[str, Any] = {"run": run.id, "state": run.row["state"] or run.status, "output": result.get("output")}
        if run.status == "waiting":
            shown["waits"] = run.row["calls"]
        text = json.dumps(shown, indent=1)
        failed = run.status == "done" and result.get("output") is None and run.row["state"] != "success"
        if failed:
            text = str(result.get("error") or run.row["state"])
        content = [TextContent(type="text", text=_cut(text))]
        return CallToolResult(content=[*content], structured_content=shown, is_error=failed)


def _progress(name: str, form: dict[str, Any]) -> str:
    """Return what of an agent's event is worth a line; empty for nothing."""
    if name == "step_started":
        return f"{form['agent'] or 'the agent'}: step {form['number']}"
    if name == "tool_call_started":
        return f"{form['tool']}({json.dumps(form['arguments'])[:500]})"
    return str(form["text"])[:1_000] if name == "printed" else ""


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
        stdout, stderr, value = (_cut("".join(each)) for each in (*self._printed.values(), "\n".join(self._shown)))
        error = [] if self._error is None else [self._error["traceback"].rstrip()]
        titled = [f"{title}: {text}" for title, text in (("stderr", stderr), ("value", value)) if text]
        text = "\n".join([*filter(None, [stdout]), *titled, *error])
        said = TextContent(type="text", text=text or "The program ran to its end, printed nothing and has no value.")
        structured = {"stdout": stdout, "stderr": stderr, "value": value or None, "error": self._error}
        return CallToolResult(content=[said, *self._images], structured_content=structured, is_error=bool(error))


def _cut(text: str) -> str:
    text = text.rstrip("\n")
    more = len(text) - _MAX_CHARACTERS
    return text if more <= 0 else f"{text[:_MAX_CHARACTERS]}\n[cut: {more} more characters]"


@contextmanager
def _tool_errors() -> Generator[None, None, None]:
    """Turn a problem into the SDK's error, whose text the client sees."""
    try:
        yield
    except (Problem, ConfigurationError) as problem:
        raise ToolError(str(problem)) from problem


def _content(text: str | None, data: str | None) -> bytes:
    if (text is None) == (data is None):
        raise ToolError("give the content either as text or as base64")
    try:
        return base64.b64decode(data, validate=True) if data is not None else (text or "").encode()
    except (binascii.Error, ValueError):
        raise ToolError("the content is not valid base64") from None
