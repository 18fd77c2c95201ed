"""A connection to an MCP server, kept by a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AsyncExitStack
from typing import Any, cast

from cloche.host_tools.builtin.extras import need
from cloche.host_tools.errors import ToolFailed
from cloche.runtime.errors import ConfigurationError

__all__ = ["McpConnection"]

# A server that pages for ever must not hang its clients.
_MOST_PAGES = 100
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
            raise ToolFailed("RuntimeError", f"{name}() failed: {str(error)[:4_000]}") from error
        except (FutureTimeout, TimeoutError) as error:
            future.cancel()
            raise ToolFailed("TimeoutError", f"{name}() did not answer within {self._timeout:g} s") from error
        except Exception as error:
            # Which exceptions a lost connection raises is the transport's own affair.
            raise ToolFailed("ConnectionError", "the tool's server cannot be reached any more") from error

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
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._connected(ready))
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
        finally:
            self._client = None
            self._loop.close()

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
        for _ in range(_MOST_PAGES):
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
