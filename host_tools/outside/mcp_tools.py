"""Tools that came from one place together: an MCP server, a collection on the Hub."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, Unpack

from cloche.host_tools.base import Tool
from cloche.host_tools.names import safe_tool_name
from cloche.host_tools.outside.hub.repo import HubOptions
from cloche.host_tools.outside.hub.tools import collection_tools
from cloche.host_tools.outside.json_shapes import as_dict
from cloche.host_tools.outside.json_types import annotation_of
from cloche.host_tools.outside.mcp_connection import McpConnection
from cloche.host_tools.outside.mcp_results import value_of
from cloche.host_tools.outside.schema_tool import SchemaTool
from cloche.host_tools.registry import ToolRegistry

if TYPE_CHECKING:
    from cloche.runtime.sandbox import Sandbox

__all__ = ["ToolCollection"]


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
        :func:`cloche.host_tools.outside.load_tool` raises, and ToolDefinitionError where two tools have one name.
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
    ) -> Generator[Self, None, None]:
        """Connect to an MCP server and give its tools; they end with the block.

        ``server`` is a URL (streamable HTTP), ``StdioServerParameters``, or a dict: ``{"url": ..., "headers": ...}``
        or ``{"command": ..., "args": [...], "env": {...}}``. Each tool gets a name that Python can call, after
        ``prefix``; ``only`` chooses by the server's own names. ``timeout`` (seconds) is for connecting and for each
        call. With ``follow`` the collection changes when the server's tools do; pass the collection itself to a
        sandbox then, not the list.

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
    return SchemaTool(name, description, described.input_schema, call, returns=_returns(described.output_schema))


def _returns(schema: dict[str, Any] | None) -> Any:
    if not schema:
        return Any
    properties = as_dict(schema.get("properties"))
    return annotation_of(properties["result"] if properties.keys() == {"result"} else schema, schema)
