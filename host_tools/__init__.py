"""Tools: typed functions and objects of the host that a program in the sandbox may call."""

from cloche.host_tools.errors import HubError, RemoteCodeRefused, ToolDefinitionError, ToolFailed, ToolRejected
from cloche.host_tools.loading import from_object
from cloche.host_tools.registry import ToolLike, ToolRegistry, call_id
from cloche.host_tools.signature import Parameter
from cloche.host_tools.tools import FunctionTool, Tool, tool

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
    "call_id",
    "from_object",
    "tool",
]
