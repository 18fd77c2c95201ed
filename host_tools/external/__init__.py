"""Tools made elsewhere: MCP servers, the Hugging Face Hub, Gradio apps, LangChain, smolagents.

Each name is imported from its module when it is first used.
"""

from typing import TYPE_CHECKING

from cloche.runtime._imports import lazy_names

if TYPE_CHECKING:
    from cloche.host_tools.external.hub.sealed import SealedTool
    from cloche.host_tools.external.hub.tools import load_tool, push_tool
    from cloche.host_tools.external.mcp import MCPClient, ToolCollection
    from cloche.host_tools.external.spaces.tool import SpaceTool, space_tool
    from cloche.host_tools.frameworks import from_langchain, from_smolagents
    from cloche.host_tools.schema_tool import SchemaTool

__all__ = [
    "MCPClient",
    "SchemaTool",
    "SealedTool",
    "SpaceTool",
    "ToolCollection",
    "from_langchain",
    "from_smolagents",
    "load_tool",
    "push_tool",
    "space_tool",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "cloche.host_tools.frameworks": ("from_langchain", "from_smolagents"),
        "cloche.host_tools.schema_tool": ("SchemaTool",),
        "hub.sealed": ("SealedTool",),
        "hub.tools": ("load_tool", "push_tool"),
        "mcp": ("MCPClient", "ToolCollection"),
        "spaces.tool": ("SpaceTool", "space_tool"),
    },
)
