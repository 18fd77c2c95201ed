"""A real MCP server for the tests, made with the official SDK: ``python mcp_server.py [http]``."""

import asyncio
import base64
import os
import sys
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ImageContent, TextContent
from pydantic import BaseModel

server = MCPServer("test", log_level="ERROR")


class Weather(BaseModel):
    """The weather of a place."""

    city: str
    degrees: float


@server.tool()
def add(a: int, b: int = 10) -> int:
    """Add two numbers."""
    return a + b


@server.tool(name="get-weather")
def get_weather(city: str, unit: str | None = None) -> Weather:
    """Tell the weather of a city."""
    return Weather(city=city, degrees=20.5 if unit is None else 70.0)


@server.tool(structured_output=False)
def page() -> list[Any]:
    """Return text and a picture."""
    data = base64.b64encode(b"\x89PNG").decode()
    return [TextContent(type="text", text="hello"), ImageContent(type="image", data=data, mime_type="image/png")]


@server.tool(structured_output=False)
def say(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def fail(reason: str) -> str:
    """Fail."""
    raise ToolError(reason)


@server.tool(name="open")
def builtin_name() -> str:
    """Have a builtin's name."""
    return "opened"


@server.tool()
def leave() -> None:
    """End the server."""
    os._exit(1)


@server.tool()
async def wait() -> None:
    """Never answer."""
    await asyncio.Event().wait()


@server.tool()
async def learn(name: str, ctx: Context) -> str:
    """Add a tool."""

    def learnt() -> str:
        return name

    server.add_tool(learnt, name=name, description="Something new.")
    await ctx.notify_tools_changed()
    await ctx.session.send_tool_list_changed()
    return "learnt"


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        server.run()
