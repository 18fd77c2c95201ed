"""Tools by where they were fetched from: how agents that are saved name them."""

from typing import TYPE_CHECKING, Any, Unpack

from cloche.host_tools.external.hub.repo import HubOptions
from cloche.host_tools.external.hub.tools import load_tool
from cloche.host_tools.external.spaces.tool import space_tool
from cloche.host_tools.tools import Tool

if TYPE_CHECKING:
    from cloche.runtime.sandbox import Sandbox

__all__ = ["from_origin", "is_origin"]


_HUB, _SPACE = "hf://", "gradio:"


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

    No token is sent to a Gradio app: its address may have come with a saved agent.
    """
    if where.startswith(_SPACE):
        source, _, api_name = where.removeprefix(_SPACE).rpartition("#")
        return space_tool(source, name, description, api_name or None, endpoint=hub.get("endpoint"))
    kind, _, rest = where.removeprefix(_HUB).partition("/")
    repo_id, _, revision = rest.partition("@")
    place: Any = {**hub, "repo_type": kind.removesuffix("s"), "revision": revision or None}
    return load_tool(repo_id, trust_remote_code=trust_remote_code, sandbox=sandbox, **place)
