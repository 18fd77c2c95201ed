"""The tools of an agent that is saved: how they are named, and the same tools again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.host_tools import RemoteCodeRefused, Tool, ToolLike, from_object
from cloche.host_tools.names import check_name
from cloche.host_tools.policy.guarded import unwrapped
from cloche.host_tools.tools import origin_of
from cloche.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from cloche.runtime.sandbox import Sandbox

__all__ = ["CODE", "ToolFinder", "code_path", "is_elsewhere", "tool_reference"]

CODE = "tools/"
"""Where in a folder the code of tools is."""
_LARGEST_CODE = 1 << 20


def tool_reference(name: str, tool: Tool) -> dict[str, Any]:
    """Return what finds the tool again: ``module:name``, or the place elsewhere that it was fetched from.

    A guarded tool is noted as such: its policies are not saved, and without them it must not come back by itself.
    """
    inner = unwrapped(tool)
    guarded = {"guarded": True} if inner is not tool else {}
    if origin := origin_of(inner):
        return {"name": name, "from": origin, "description": tool.description, **guarded}
    target: Any = getattr(inner, "__wrapped__", type(inner))
    where = f"{getattr(target, '__module__', '')}:{getattr(target, '__qualname__', '')}"
    return {"name": name, "from": where, **guarded}


def code_path(name: str) -> str:
    """Return where in a folder the code of a tool is: by its name, whatever else the folder says."""
    return f"{CODE}{check_name(name)}.py"


@dataclass(frozen=True)
class ToolFinder:
    """Finds tools by their references: those given by name first.

    ``folder``    where the code of tools is, if any came along.
    ``trusted``   whether code that came along or is elsewhere may run here.
    ``strangers`` whether the references are a stranger's: the name of a module is then one of this host's functions,
                  such as ``os:system``, that somebody else chose, and needs the same trust.
    ``sandbox``   where such code runs instead, if anywhere; no trust is needed then.
    ``hub``       how tools on the Hub are fetched: :class:`cloche.host_tools.external.hub.repo.HubOptions`.
    """

    given: Mapping[str, Tool]
    folder: Path | None = None
    trusted: bool = False
    strangers: bool = False
    sandbox: "Sandbox | None" = None
    hub: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def find(self, reference: Mapping[str, Any]) -> ToolLike:
        """Return the tool. Raises RemoteCodeRefused, ConfigurationError, or what fetching it raises."""
        name, where = str(reference["name"]), str(reference.get("from", ""))
        if name in self.given:
            return self.given[name]
        if reference.get("guarded"):
            problem = f"{name!r} had policies, which are not saved: pass tools=GuardedTools(...) with yours"
            raise ConfigurationError("tools", problem)
        if self.sandbox is not None and where.startswith((CODE, "hf://")):
            return self._found(name, where, "")
        if not self.trusted and (self.strangers or is_elsewhere(where)):
            what = f"the tool {name!r} ({where[:200]}), which tools= does not give,"
            raise RemoteCodeRefused("agent.json and tools/", what)
        return self._found(name, where, str(reference.get("description", "")))

    def _found(self, name: str, where: str, description: str) -> ToolLike:
        if where.startswith(CODE):
            return self._from_code(name)
        if is_elsewhere(where):
            from cloche.host_tools.external.origins import from_origin

            how: Any = {"trust_remote_code": self.trusted, "sandbox": self.sandbox, **self.hub}
            return from_origin(name, where, description, **how)
        if "<" in where or where.startswith("__main__"):
            problem = f"{name!r} was defined where it cannot be imported from ({where}): pass tools=[{name}]"
            raise ConfigurationError("tools", problem)
        return from_object(where)

    def _from_code(self, name: str) -> Tool:
        from cloche.host_tools.external.hub.code import tool_from_code
        from cloche.host_tools.external.hub.sealed import SealedTool

        path = (self.folder or Path()) / code_path(name)
        if self.folder is None or not path.is_file() or path.stat().st_size > _LARGEST_CODE:
            raise ConfigurationError("tools", f"the code of {name!r} is not there, or larger than 1 MiB: pass tools=")
        if self.sandbox is not None:
            return SealedTool(code_path(name), path.read_bytes(), self.sandbox)
        return tool_from_code(str(path), path.read_bytes())


def is_elsewhere(where: str) -> bool:
    """Return whether this reference is to code that came along, or to a place elsewhere."""
    from cloche.host_tools.external.origins import is_origin

    return where.startswith(CODE) or is_origin(where)
