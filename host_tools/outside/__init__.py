"""Tools made elsewhere: MCP servers, the Hugging Face Hub, Gradio apps, LangChain, smolagents."""

from cloche.host_tools.outside.frameworks import from_langchain, from_smolagents
from cloche.host_tools.outside.hub.sealed import SealedTool
from cloche.host_tools.outside.hub.tools import load_tool, push_tool
from cloche.host_tools.outside.mcp_tools import ToolCollection
from cloche.host_tools.outside.schema_tool import SchemaTool
from cloche.host_tools.outside.spaces.tool import SpaceTool, space_tool

__all__ = [
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
