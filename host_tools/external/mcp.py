"""Tools of MCP servers, and collections of tools that came from one place together.

A connection is kept by a thread of its own; what a server's tool answered becomes a value for the program.
"""

import asyncio
import base64
import binascii
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

from cloche.host_tools.errors import ToolFailed
from cloche.host_tools.external.hub.repo import HubOptions
from cloche.host_tools.external.hub.tools import collection_tools
from cloche.host_tools.json_schema import annotation_of, as_dict, described_fields
from cloche.host_tools.names import safe_tool_name
from cloche.host_tools.registry import ToolRegistry
from cloche.host_tools.schema_tool import SchemaTool
from cloche.host_tools.tools import Tool
from cloche.runtime._imports import need
from cloche.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from cloche.runtime.sandbox import Sandbox

__all__ = ["MCPClient", "McpConnection", "ToolCollection", "value_of"]


_MAX_ERROR = 4_000


def value_of(result: Any, name: str) -> Any:
    """Return the structured content, else the content: text as str, images, audio and files as bytes.

    Several pieces of content are a list. Raises ToolFailed if the tool reports an error.
    """
    pieces = [_piece(block) for block in result.content]
    if result.is_error:
        text = "\n".join(piece for piece in pieces if isinstance(piece, str)) or "it gave no reason"
        raise ToolFailed("RuntimeError", f"{name}() failed: {text[:_MAX_ERROR]}")
    if result.structured_content is not None:
        return _unwrapped(result.structured_content)
    return pieces[0] if len(pieces) == 1 else pieces or None


def _unwrapped(content: Any) -> Any:
    # Servers must wrap what is no object, and most of them call it this.
    return content["result"] if as_dict(content).keys() == {"result"} else content


def _piece(block: Any) -> Any:
    match block.type:
        case "text":
            return block.text
        case "image" | "audio":
            return _bytes(block.data)
        case "resource":
            return block.resource.text if hasattr(block.resource, "text") else _bytes(block.resource.blob)
        case _:
            return block.model_dump(mode="json", exclude_none=True)


def _bytes(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise ToolFailed("ValueError", "the server sent binary data that cannot be decoded") from None


# A server that pages for ever must not hang its clients.
_MAX_PAGES = 100
# The client's own timeout comes first; this is for a client that has lost its server without noticing.
_GRACE = 5.0


class McpConnection:
    """Connects when it is made and stays connected until :meth:`close`.

    ``server``    a URL (streamable HTTP), ``StdioServerParameters``, a dict of either's settings (``url`` and
                  ``headers``, or ``command``, ``args``, ``env``), or a server object of the SDK.
    ``timeout``   seconds for connecting and for each call.
    ``changed``   called with the new list of tools, on the connection's thread, whenever the server says that
                  it has changed.

    Raises ConfigurationError for what is no server, ConnectionError if it cannot be reached.
    """

    def __init__(self, server: Any, timeout: float, changed: Callable[[list[Any]], object] | None = None) -> None:
        self._sdk: Any = need("mcp", "mcp")
        self._server = _parsed(server, self._sdk)
        self._timeout = timeout
        self._changed = changed
        self._loop = asyncio.new_event_loop()
        self._news = asyncio.Event()
        self._closing = asyncio.Event()
        self._client: Any = None
        ready: Future[list[Any]] = Future()
        self._thread = threading.Thread(target=self._keep, args=(ready,), name="cloche-mcp", daemon=True)
        self._thread.start()
        self.tools = self._started(ready)
        """The server's tools when the connection was made."""

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Return the tool's result. Raises ToolFailed if the server refuses, is gone or takes too long."""
        if self._client is None:
            raise ToolFailed("ConnectionError", "the connection to the tool's server was closed")
        asked = self._client.call_tool(name, arguments, read_timeout_seconds=self._timeout)
        future: Future[Any] = asyncio.run_coroutine_threadsafe(asked, self._loop)
        try:
            return future.result(self._timeout + _GRACE)
        except self._sdk.MCPError as error:
            if self._is_lost(error):
                raise ToolFailed("ConnectionError", "the tool's server cannot be reached any more") from error
            raise ToolFailed("RuntimeError", f"{name}() failed: {str(error)[:4_000]}") from error
        except (FutureTimeout, TimeoutError) as error:
            future.cancel()
            raise ToolFailed("TimeoutError", f"{name}() did not answer within {self._timeout:g} s") from error
        except Exception as error:
            # Which exceptions a lost connection raises is the transport's own affair.
            raise ToolFailed("ConnectionError", "the tool's server cannot be reached any more") from error

    @staticmethod
    def _is_lost(error: Any) -> bool:
        """Return whether the SDK says with an error of the protocol's that there is no connection."""
        return "connection closed" in str(error).lower()

    def close(self) -> None:
        """Disconnect and end the server, if this connection started it. Safe to call twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join(self._timeout)

    def _started(self, ready: "Future[list[Any]]") -> list[Any]:
        try:
            return ready.result(self._timeout)
        except FutureTimeout:
            self.close()
            raise ConnectionError(f"the MCP server did not answer within {self._timeout:g} s") from None
        except Exception as error:
            raise ConnectionError(f"the MCP server cannot be reached: {_reason(error)}") from error

    def _keep(self, ready: "Future[list[Any]]") -> None:
        try:
            # It cancels what is still under way before it closes the loop: calls, watchers, the transport's own tasks.
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._connected(ready))
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
        finally:
            self._client = None

    async def _connected(self, ready: "Future[list[Any]]") -> None:
        async with AsyncExitStack() as stack:
            server = await _opened(self._server, stack)
            client = self._sdk.Client(server, message_handler=self._on_message, cache=None)
            self._client = await stack.enter_async_context(client)
            ready.set_result(await self._listed())
            watchers = [asyncio.ensure_future(self._follow()), asyncio.ensure_future(self._listen())]
            await self._closing.wait()
            for watcher in watchers:
                watcher.cancel()
            await asyncio.wait(watchers)
            self._client = None

    async def _listed(self) -> list[Any]:
        tools: list[Any] = []
        page = await self._client.list_tools()
        for _ in range(_MAX_PAGES):
            tools += page.tools
            if not page.next_cursor:
                break
            page = await self._client.list_tools(cursor=page.next_cursor)
        return tools

    async def _on_message(self, message: Any) -> None:
        # Of the servers that announce changes by themselves.
        if getattr(message, "method", "") == "notifications/tools/list_changed":
            self._news.set()

    async def _listen(self) -> None:
        """Of the servers that announce changes to those who ask."""
        try:
            async with self._client.listen(tools_list_changed=True) as events:
                async for _ in events:
                    self._news.set()
        except Exception:
            # Servers need not offer it; the tools then stay as they are.
            return

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                tools = await self._listed()
            except Exception:
                continue
            if self._changed is not None:
                self._changed(tools)


def _parsed(server: Any, sdk: Any) -> Any:
    if not isinstance(server, Mapping):
        return server
    settings = cast("Mapping[str, Any]", server)
    if "url" in settings:
        return dict(settings)
    if "command" in settings:
        return sdk.StdioServerParameters(**{name: value for name, value in settings.items() if name != "transport"})
    raise ConfigurationError("server", "name its 'url', or the 'command' that starts it")


async def _opened(server: Any, stack: AsyncExitStack) -> Any:
    """Return what the SDK's client takes; a URL with headers needs an HTTP client of its own."""
    if not isinstance(server, dict):
        return server
    settings = cast("dict[str, Any]", server)
    http: Any = need("httpx2", "mcp")
    client = await stack.enter_async_context(http.AsyncClient(headers=settings.get("headers") or {}))
    return need("mcp.client.streamable_http", "mcp").streamable_http_client(settings["url"], http_client=client)


def _reason(error: BaseException) -> str:
    """Return what is at the bottom of nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return f"{type(error).__name__}: {error}"[:500]


class ToolCollection(ToolRegistry):
    """Tools that came from one place, as a registry; ``tools`` is the list of them."""

    @property
    def tools(self) -> list[Tool]:
        """The tools of this moment."""
        return list(self.values())

    @classmethod
    def from_hub(
        cls,
        collection_slug: str,
        *,
        trust_remote_code: bool = False,
        sandbox: "Sandbox | None" = None,
        **hub: Unpack[HubOptions],
    ) -> Self:
        """Return the tools of the Spaces in a collection on the Hub; their code runs on this host, or in the sandbox.

        ``collection_slug`` is ``owner/title-id``, as in the collection's address. Raises what
        :func:`cloche.host_tools.external.load_tool` raises, and ToolDefinitionError where two tools have one name.
        """
        return cls(collection_tools(collection_slug, trust_remote_code=trust_remote_code, sandbox=sandbox, **hub))

    @classmethod
    @contextmanager
    def from_mcp(
        cls,
        server: Any,
        *,
        prefix: str = "",
        only: Callable[[str], bool] | None = None,
        timeout: float = 30.0,
        follow: bool = True,
        trust_remote_code: bool = False,
        structured_output: bool = True,
    ) -> Generator[Self, None, None]:
        """Connect to an MCP server and give its tools; they end with the block.

        ``server`` is a URL (streamable HTTP), ``StdioServerParameters``, or a dict: ``{"url": ..., "headers": ...}``
        or ``{"command": ..., "args": [...], "env": {...}}``. Each tool gets a name that Python can call, after
        ``prefix``; ``only`` chooses by the server's own names. ``timeout`` (seconds) is for connecting and for each
        call. With ``follow`` the collection changes when the server's tools do; pass the collection itself to a
        sandbox then, not the list.

        ``trust_remote_code`` and ``structured_output`` are smolagents' words and change nothing: no code of the
        server's runs here, and structured results are always taken as such.

        What a server says of its tools goes into prompts as it is: connect to servers that you trust.
        Raises ConfigurationError where the extra ``cloche[mcp]`` is not installed, ConnectionError if the server
        cannot be reached.
        """
        collection = cls()
        held: list[McpConnection] = []

        def show(found: list[Any]) -> None:
            if held:
                collection._show(_tools(held[0], found, prefix, only))

        connection = McpConnection(server, timeout, show if follow else None)
        held.append(connection)
        try:
            show(connection.tools)
            yield collection
        finally:
            connection.close()

    def _show(self, tools: dict[str, Tool]) -> None:
        with self._lock:
            self._replace(tools)


class MCPClient:
    """Connections to one or several MCP servers, and the list of their tools: what smolagents has under this name.

    ``with MCPClient(server) as tools:`` gives the list. Made without a block, it is connected until
    :meth:`disconnect`. The servers are written as for :meth:`ToolCollection.from_mcp`, which also says what is raised.
    """

    def __init__(
        self, server_parameters: Any, adapter_kwargs: Mapping[str, Any] | None = None, structured_output: bool = True
    ) -> None:
        several = isinstance(server_parameters, list)
        self._servers: list[Any] = server_parameters if several else [server_parameters]
        seconds = (adapter_kwargs or {}).get("connect_timeout", 30.0)
        self._options: dict[str, Any] = {"timeout": float(seconds), "follow": False}
        self._stack = ExitStack()
        self._tools: list[Tool] = []
        self.connect()

    def connect(self) -> None:
        """Connect to all servers. If one cannot be reached, none is connected."""
        with ExitStack() as opening:
            found = [
                opening.enter_context(ToolCollection.from_mcp(server, **self._options)) for server in self._servers
            ]
            self._tools = [tool for collection in found for tool in collection.tools]
            self._stack = opening.pop_all()

    def get_tools(self) -> list[Tool]:
        """Return the tools of all servers."""
        return list(self._tools)

    def disconnect(self, *_: Any) -> None:
        """End the connections. Safe to call twice; calls of the tools then fail."""
        self._stack.close()

    def __enter__(self) -> list[Tool]:
        return self.get_tools()

    def __exit__(self, *_: object) -> None:
        self.disconnect()


def _tools(
    connection: McpConnection, found: list[Any], prefix: str, only: Callable[[str], bool] | None
) -> dict[str, Tool]:
    tools: dict[str, Tool] = {}
    for described in found:
        if only is None or only(described.name):
            name = safe_tool_name(f"{prefix}{described.name}", tools)
            tools[name] = _tool(connection, described, name)
    return tools


def _tool(connection: McpConnection, described: Any, name: str) -> Tool:
    def call(arguments: dict[str, Any]) -> Any:
        return value_of(connection.call(described.name, arguments), name)

    description = described.description or described.title or described.name
    if fields := _fields(described.output_schema):
        description = f"{description}\n\nReturns {fields}"
    return SchemaTool(name, description, described.input_schema, call, returns=_returns(described.output_schema))


def _fields(schema: dict[str, Any] | None) -> str:
    """Return what the result's dicts have in them, where the server says so."""
    result = as_dict(as_dict(schema).get("properties"))
    inner = result["result"] if result.keys() == {"result"} else schema
    return "\n".join(described_fields(inner, schema or {}))


def _returns(schema: dict[str, Any] | None) -> Any:
    if not schema:
        return Any
    properties = as_dict(schema.get("properties"))
    return annotation_of(properties["result"] if properties.keys() == {"result"} else schema, schema)
