"""Programs, sessions and files for MCP clients: the service, its tools as the SDK takes them, and results as text."""

import secrets
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, fields
from time import monotonic
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, TextContent
from pydantic import Field

from cloche import __version__
from cloche.cli.output import error_text, full_repr, result_json
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
from cloche.runtime.errors import CallerError, GuestError
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

__all__ = ["OpenSessions", "Service", "ServiceError", "make_server", "result_text"]


class ServiceError(Exception):
    """What a client asked for cannot be done; the text says why, and is for the client."""


@dataclass(slots=True)
class _Open:
    session: Session
    used: float


class OpenSessions:
    """Sessions by unguessable ids: at most ``max_open`` of them, and those unused for ``idle`` seconds make room.

    Used from one thread, the server's event loop.
    """

    def __init__(self, sandbox: Sandbox, max_open: int, idle: float) -> None:
        self._sandbox = sandbox
        self._max_open = max_open
        self._idle = idle
        self._open: dict[str, _Open] = {}

    def open(self) -> str:
        """Open a session and return its id. Raises ServiceError when there are too many."""
        self._close_idle()
        if len(self._open) >= self._max_open:
            raise ServiceError(f"{self._max_open} sessions are open, and no more are allowed: close one of them first")
        name = secrets.token_hex(8)
        self._open[name] = _Open(self._sandbox.session(), monotonic())
        return name

    def get(self, name: str) -> Session:
        """Return an open session. Raises ServiceError for an unknown id, or one that was idle for too long."""
        self._close_idle()
        if name not in self._open:
            raise ServiceError(f"there is no session {name[:40]!r}; open_session starts one")
        self._open[name].used = monotonic()
        return self._open[name].session

    def close(self, name: str) -> None:
        """Close a session. Raises ServiceError for an unknown id."""
        self.get(name).close()
        del self._open[name]

    def names(self) -> list[str]:
        """Return the ids of the open sessions."""
        self._close_idle()
        return list(self._open)

    def close_all(self) -> None:
        """Close every session, ending what runs in them."""
        for held in self._open.values():
            held.session.close()
        self._open.clear()

    def _close_idle(self) -> None:
        oldest = monotonic() - self._idle
        for name in [name for name, held in self._open.items() if held.used < oldest]:
            self._open.pop(name).session.close()


class Service:
    """Runs programs for clients in one sandbox. Its methods raise ServiceError for what a client got wrong."""

    def __init__(self, sandbox: Sandbox, sessions: OpenSessions) -> None:
        self.sandbox = sandbox
        self.sessions = sessions

    async def run(self, code: str, session: str | None, time: float | None) -> Result[Any]:
        """Run a program in a fresh guest or a session; being cancelled ends it."""
        limits = self._limits(time)
        with _for_client():
            if session is None:
                return await self.sandbox.arun(code, limits=limits)
            return await self.sessions.get(session).arun(code, limits=limits)

    async def put_file(self, session: str, path: str, text: str | None, data: str | None) -> int:
        """Write a file and return its size."""
        try:
            content = file_bytes(text, data)
        except ValueError as error:
            raise ServiceError(str(error)) from None
        with _for_client():
            await self.sessions.get(session).aput_file(path, content)
        return len(content)

    async def get_file(self, session: str, path: str) -> FileContent:
        """Return a file."""
        with _for_client():
            data = await self.sessions.get(session).aget_file(path)
        return file_content(path, data)

    async def list_files(self, session: str, path: str) -> list[str]:
        """Return the paths of all files below a folder."""
        with _for_client():
            return await self.sessions.get(session).alist_files(path)

    def _limits(self, time: float | None) -> Limits | None:
        """Return the limits with a shorter time: clients may ask for less than the server's limit, not for more."""
        max_time = self.sandbox.limits.time
        if time is None:
            return None
        if not time > 0 or (max_time is not None and time > max_time):
            at_most = "" if max_time is None else f" and at most {max_time}"
            raise ServiceError(f"time must be seconds above 0{at_most}, got {time}")
        return self.sandbox.limits.replace(time=time)


@contextmanager
def _for_client() -> Generator[None, None, None]:
    """Turn what the client got wrong, and what the guest refused, into a ServiceError of the same text."""
    try:
        yield
    except (CallerError, GuestError) as error:
        raise ServiceError(str(error)) from error


# The tools.


def make_server(service: Service, tools: str = "") -> MCPServer[Any]:
    """Return a server for the service. ``tools`` says which host tools programs can call, for the description."""
    server: MCPServer[Any] = MCPServer(
        "cloche",
        instructions=INSTRUCTIONS + tools,
        version=__version__,
        lifespan=_lifespan(service),
        log_level="WARNING",
    )
    _add_running(server, service, tools)
    _add_sessions(server, service)
    _add_files(server, service)
    return server


def _lifespan(service: Service) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            service.sessions.close_all()

    return lifespan


def _add_running(server: MCPServer[Any], service: Service, tools: str) -> None:
    async def run_python(
        code: Annotated[str, Field(description="the program; the value of its last expression is returned")],
        session: Annotated[str | None, Field(description="run in this session; default: a fresh interpreter")] = None,
        time: Annotated[float | None, Field(description="seconds it may take, if less than the limit")] = None,
    ) -> CallToolResult:
        with _tool_errors():
            result = await service.run(code, session, time)
        text = TextContent(type="text", text=result_text(result))
        return CallToolResult(content=[text], structured_content=result_json(result), is_error=not result.ok)

    description = f"Run a Python program in a sandbox and return its output and value. {tools}".strip()
    server.add_tool(run_python, description=description, annotations=ACTS)


# Coroutine functions even where nothing is awaited: the SDK would call plain ones on other threads.
def _add_sessions(server: MCPServer[Any], service: Service) -> None:
    async def open_session() -> dict[str, str]:
        """Open a session, in which variables, functions, imports and files are kept from run to run."""
        with _tool_errors():
            return {"session": service.sessions.open()}

    async def close_session(session: SessionId) -> dict[str, str]:
        """Close a session and forget what is in it."""
        with _tool_errors():
            service.sessions.close(session)
        return {"closed": session}

    async def list_sessions() -> list[str]:
        """Return the ids of the open sessions."""
        return service.sessions.names()

    async def limits() -> dict[str, Any]:
        """Return the limits of each run: fuel, seconds, bytes and counts; null is no limit."""
        given = service.sandbox.limits
        return {limit.name: getattr(given, limit.name) for limit in fields(given)}

    server.add_tool(open_session, annotations=ACTS)
    server.add_tool(close_session, annotations=ACTS)
    server.add_tool(list_sessions, annotations=READS)
    server.add_tool(limits, annotations=READS)


def _add_files(server: MCPServer[Any], service: Service) -> None:
    async def put_file(
        session: SessionId,
        path: Path,
        text: Annotated[str | None, Field(description="the content, if it is text")] = None,
        data: Annotated[str | None, Field(description="the content in base64, if it is not")] = None,
    ) -> dict[str, Any]:
        """Write a file in a session."""
        with _tool_errors():
            return {"path": path, "size": await service.put_file(session, path, text, data)}

    async def get_file(session: SessionId, path: Path) -> FileContent:
        """Return a file of a session, as text if it is UTF-8 and as base64 if not."""
        with _tool_errors():
            return await service.get_file(session, path)

    async def list_files(session: SessionId, path: Path = "/work") -> list[str]:
        """Return the paths of all files below a folder of a session."""
        with _tool_errors():
            return await service.list_files(session, path)

    server.add_tool(put_file, annotations=ACTS)
    server.add_tool(get_file, annotations=READS)
    server.add_tool(list_files, annotations=READS)


@contextmanager
def _tool_errors() -> Generator[None, None, None]:
    """Turn a ServiceError into the SDK's error, whose text the client sees."""
    try:
        yield
    except ServiceError as error:
        raise ToolError(str(error)) from error


def result_text(result: Result[Any]) -> str:
    """Return what was printed, then the value or the error; each cut with a note of how much is missing."""
    parts = [cut(result.stdout), _titled("stderr", cut(result.stderr))]
    if result.error is not None:
        parts.append(error_text(result.error))
    elif result.value is not None:
        parts.append(_titled("value", cut(full_repr(result.value))))
    if result.rolled_back:
        parts.append("The session is back where it was before this run.")
    return "\n".join(filter(None, parts)) or "The program ran to its end, printed nothing and has no value."


def _titled(title: str, text: str) -> str:
    return f"{title}: {text}" if text else ""
