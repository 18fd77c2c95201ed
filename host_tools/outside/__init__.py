"""Tools made elsewhere: MCP servers, LangChain, smolagents."""

from cloche.host_tools.outside.frameworks import from_langchain, from_smolagents
from cloche.host_tools.outside.mcp_tools import ToolCollection
from cloche.host_tools.outside.schema_tool import SchemaTool

__all__ = ["SchemaTool", "ToolCollection", "from_langchain", "from_smolagents"]
