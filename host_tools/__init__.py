"""Tools: typed functions and objects of the host that a program in the sandbox may call."""

from cloche.host_tools.base import Tool
from cloche.host_tools.errors import HubError, RemoteCodeRefused, ToolDefinitionError, ToolFailed, ToolRejected
from cloche.host_tools.function import FunctionTool, tool
from cloche.host_tools.loading import from_object
from cloche.host_tools.parameters import Parameter
from cloche.host_tools.registry import ToolLike, ToolRegistry

__all__ = [
    "FunctionTool",
    "HubError",
    "Parameter",
    "RemoteCodeRefused",
    "Tool",
    "ToolDefinitionError",
    "ToolFailed",
    "ToolLike",
    "ToolRegistry",
    "ToolRejected",
    "from_object",
    "tool",
]
