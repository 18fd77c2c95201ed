"""Tools written for other frameworks. Nothing of a framework is imported here: its tools bring it along."""

from typing import Any

from cloche.host_tools.errors import ToolDefinitionError
from cloche.host_tools.json_schema import as_dict
from cloche.host_tools.names import safe_tool_name
from cloche.host_tools.schema_tool import SchemaTool
from cloche.host_tools.tools import Tool

__all__ = ["adapted", "from_langchain", "from_smolagents"]


_SMOLAGENTS_ANY = {"any", "image", "audio"}


def adapted(thing: Any) -> Tool | None:
    """Return a tool of another framework as one of ours; None for what is none."""
    homes = {kind.__module__.partition(".")[0] for kind in type(thing).__mro__}
    if "langchain_core" in homes and hasattr(thing, "args_schema"):
        return from_langchain(thing)
    if "smolagents" in homes and hasattr(thing, "forward"):
        return from_smolagents(thing)
    return None


def from_langchain(tool: Any) -> Tool:
    """Return a LangChain tool (``BaseTool``) as a Tool; a call is its ``invoke``.

    Raises ToolDefinitionError for what is no such tool.
    """
    if not (hasattr(tool, "invoke") and hasattr(tool, "tool_call_schema")):
        raise ToolDefinitionError("tool", f"a {type(tool).__name__} is not a LangChain tool")
    schema: Any = tool.tool_call_schema
    described: dict[str, Any] = as_dict(schema) or schema.model_json_schema()
    return SchemaTool(safe_tool_name(tool.name), tool.description or "", described, tool.invoke)


def from_smolagents(tool: Any) -> Tool:
    """Return a smolagents tool as a Tool; images and audio cross as whatever they are made of.

    Raises ToolDefinitionError for what is no such tool.
    """
    if not (hasattr(tool, "inputs") and hasattr(tool, "output_type")):
        raise ToolDefinitionError("tool", f"a {type(tool).__name__} is not a smolagents tool")

    def call(arguments: dict[str, Any]) -> Any:
        value = tool(**arguments)
        return value.to_raw() if hasattr(value, "to_raw") else value

    properties = {name: _property(described) for name, described in tool.inputs.items()}
    required = [name for name, described in tool.inputs.items() if not described.get("nullable")]
    schema = {"type": "object", "properties": properties, "required": required}
    return SchemaTool(safe_tool_name(tool.name), tool.description, schema, call)


def _property(described: dict[str, Any]) -> dict[str, Any]:
    kind = described["type"]
    kinds = [kind] if isinstance(kind, str) else list(kind)
    # An Any there accepts everything, so no type is stated here.
    typed = {} if _SMOLAGENTS_ANY & set(kinds) else {"type": kinds[0] if len(kinds) == 1 else kinds}
    choices = {"enum": described["enum"]} if "enum" in described else {}
    return {**typed, **choices, "description": described.get("description", "")}
