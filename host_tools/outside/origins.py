"""Where a tool was fetched from, and the same tool again: how agents that are saved name it."""

from typing import TYPE_CHECKING, Any, Unpack

from cloche.host_tools.base import Tool
from cloche.host_tools.outside.hub.repo import HubOptions

if TYPE_CHECKING:
    from cloche.runtime.sandbox import Sandbox

__all__ = ["from_origin", "is_origin", "origin_of", "set_origin"]

# No name that an author of a tool would hit upon.
_ATTRIBUTE = "_tool_origin"
_HUB, _SPACE = "hf://", "gradio:"


def set_origin(tool: Tool, origin: str) -> Tool:
    """Note where a tool came from: ``hf://spaces/owner/name@commit``, or ``gradio:owner/name#/predict``."""
    setattr(tool, _ATTRIBUTE, origin)
    return tool


def origin_of(tool: Tool) -> str:
    """Return where a tool came from; empty if it was made here."""
    return str(getattr(tool, _ATTRIBUTE, ""))


def is_origin(where: str) -> bool:
    """Return whether this names a place elsewhere."""
    return where.startswith((_HUB, _SPACE))


def from_origin(
    name: str,
    where: str,
    description: str = "",
    *,
    trust_remote_code: bool = False,
    sandbox: "Sandbox | None" = None,
    **hub: Unpack[HubOptions],
) -> Tool:
    """Return the tool that is there, by the Hub of ``hub``. Raises what :func:`load_tool` and :func:`space_tool` raise.

    No token is sent to a Gradio app: which one it is, somebody else may have written.
    """
    # Imported here: they note origins themselves.
    if where.startswith(_SPACE):
        from cloche.host_tools.outside.spaces.tool import space_tool

        source, _, api_name = where.removeprefix(_SPACE).rpartition("#")
        return space_tool(source, name, description, api_name or None, endpoint=hub.get("endpoint"))
    from cloche.host_tools.outside.hub.tools import load_tool

    kind, _, rest = where.removeprefix(_HUB).partition("/")
    repo_id, _, revision = rest.partition("@")
    place: Any = {**hub, "repo_type": kind.removesuffix("s"), "revision": revision or None}
    return load_tool(repo_id, trust_remote_code=trust_remote_code, sandbox=sandbox, **place)
