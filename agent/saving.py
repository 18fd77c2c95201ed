"""Agents as plain data and as folders; their tools by reference."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cloche.agent.memory import AgentMemory
from cloche.agent.models.base import AnyModel
from cloche.agent.prompting import PromptTemplates, load_prompts
from cloche.agent.settings import RunBudget, Settings
from cloche.host_tools import RemoteCodeRefused, Tool, ToolLike, from_object
from cloche.host_tools.names import check_name
from cloche.host_tools.policy.guarded import unwrapped
from cloche.host_tools.registry import registry_of
from cloche.host_tools.tools import origin_of
from cloche.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from cloche.runtime.sandbox import Sandbox

__all__ = [
    "CODE",
    "SavedAgent",
    "ToolFinder",
    "agent_from_dict",
    "agent_of",
    "agent_to_dict",
    "code_path",
    "folder_agent",
    "is_elsewhere",
    "load_folder",
    "save_folder",
    "tool_reference",
]

CODE = "tools/"
"""Where in a folder the code of tools is."""
_MAX_CODE = 1 << 20


def tool_reference(name: str, tool: Tool) -> dict[str, Any]:
    """Return what finds the tool again: ``module:name``, or the place elsewhere that it was fetched from.

    A guarded tool is marked as such: its policies are not saved, and it must not be loaded without them.
    """
    inner = unwrapped(tool)
    guarded = {"guarded": True} if inner is not tool else {}
    if origin := origin_of(inner):
        return {"name": name, "from": origin, "description": tool.description, **guarded}
    target: Any = getattr(inner, "__wrapped__", type(inner))
    where = f"{getattr(target, '__module__', '')}:{getattr(target, '__qualname__', '')}"
    return {"name": name, "from": where, **guarded}


def code_path(name: str) -> str:
    """Return where in a folder the code of a tool is. Only its name decides that, whatever else the folder says."""
    return f"{CODE}{check_name(name)}.py"


@dataclass(frozen=True)
class ToolFinder:
    """Finds tools by their references: those given by name first.

    ``folder``    where the code of tools is, if any came along.
    ``trusted``   whether code that came along or is elsewhere may run here.
    ``strangers`` whether the references were written by a stranger, who may have named any function of this host, such
                  as ``os:system``: importing one then needs the same trust.
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
        if self.folder is None or not path.is_file() or path.stat().st_size > _MAX_CODE:
            raise ConfigurationError("tools", f"the code of {name!r} is not there, or larger than 1 MiB: pass tools=")
        if self.sandbox is not None:
            return SealedTool(code_path(name), path.read_bytes(), self.sandbox)
        return tool_from_code(str(path), path.read_bytes())


def is_elsewhere(where: str) -> bool:
    """Return whether this reference is to code that came along, or to a place elsewhere."""
    from cloche.host_tools.external.origins import is_origin

    return where.startswith(CODE) or is_origin(where)


_VERSION = 1
_PLAIN = ("name", "description", "instructions", "max_steps", "planning_interval", "observation_limit")
_BUDGET = ("tokens", "cost", "seconds", "tool_calls")
# By name, as the classes build on the module that builds on this one.
_KINDS = {"code": "cloche.agent.code_agent:CodeAgent", "tool_calling": "cloche.agent.tool_agent:ToolCallingAgent"}


class SavedAgent(Protocol):
    """What saving needs of an agent; :class:`cloche.agent.MultiStepAgent` says what each is."""

    kind: str
    settings: Settings
    prompts: PromptTemplates
    memory: AgentMemory

    @property
    def description(self) -> str:
        """What it is good for."""
        ...

    @property
    def managed_agents(self) -> "Mapping[str, SavedAgent]":
        """The agents it manages, by name."""
        ...

    def given_tools(self) -> Mapping[str, ToolLike]:
        """Return the tools it was given."""
        ...

    def saved_settings(self) -> dict[str, Any]:
        """Return the settings of its kind, as plain data."""
        ...

    def save_state(self, folder: Path) -> None:
        """Write what it has beside its memory."""
        ...

    def save(self, folder: str | Path) -> None:
        """Write all of it."""
        ...


def agent_to_dict(agent: SavedAgent) -> dict[str, Any]:
    """Return an agent as data that JSON can hold: its kind, settings, prompts, agents, and its tools by reference.

    Tools are named as ``module:name``, never copied as code. Models, keys, callbacks, checks and types are not part
    of it: they are given again when the agent is loaded.
    """
    settings = agent.settings
    data: dict[str, Any] = {"version": _VERSION, "kind": agent.kind}
    data |= {name: getattr(settings, name) for name in (*_PLAIN, "provide_run_summary")}
    data["budget"] = {name: getattr(settings.budget, name) for name in _BUDGET}
    data["prompts"] = agent.prompts.as_dict()
    data["tools"] = [tool_reference(name, tool) for name, tool in registry_of(agent.given_tools()).items()]
    data["managed_agents"] = [agent_to_dict(managed) for managed in agent.managed_agents.values()]
    return data | agent.saved_settings()


def agent_from_dict(
    data: Mapping[str, Any],
    model: AnyModel,
    *,
    tools: Iterable[ToolLike] | Mapping[str, ToolLike] = (),
    models: Mapping[str, AnyModel] | None = None,
    trust_remote_code: bool = False,
    **options: Any,
) -> Any:
    """Return the agent that the data describes.

    ``tools`` are taken by name before anything is imported; the others are imported by their reference, which runs
    their module: load only what you trust.
    ``models`` gives managed agents others by name, ``options`` replace settings.
    Tools that came from the Hub or from a Gradio app are fetched again if ``trust_remote_code``.
    Raises ConfigurationError for data of another version or kind, or a tool that cannot be found; RemoteCodeRefused.
    """
    return agent_of(data, model, ToolFinder(registry_of(tools), trusted=trust_remote_code), models, **options)


def agent_of(
    data: Mapping[str, Any], model: AnyModel, tools: ToolFinder, models: Mapping[str, AnyModel] | None, **options: Any
) -> Any:
    """Return the agent that the data describes, with tools from the finder; for :mod:`cloche.agent.hub`."""
    make = _kind(data)
    managed = [
        agent_of(one, (models or {}).get(str(one.get("name")), model), tools, models)
        for one in data.get("managed_agents", ())
    ]
    settings = {name: data[name] for name in (*_PLAIN, "provide_run_summary") if name in data}
    settings["budget"] = RunBudget(**data.get("budget", {}))
    settings["prompts"] = PromptTemplates.of(data.get("prompts", {}), over=load_prompts(data["kind"], None))
    found = {str(one["name"]): tools.find(one) for one in data.get("tools", ())}
    return make(found, model, **{**settings, "managed_agents": managed, **make.restored_settings(data), **options})


def save_folder(agent: SavedAgent, folder: str | Path) -> None:
    """Write an agent to a folder: ``agent.json``, ``prompts.yaml``, ``memory.json``, and a snapshot of its session.

    What is there is replaced. The snapshot is not encrypted.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    data = agent_to_dict(agent)
    del data["prompts"]
    (path / "agent.json").write_text(json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8")
    agent.prompts.save(path / "prompts.yaml")
    agent.memory.save(path / "memory.json")
    agent.save_state(path)


def load_folder(
    folder: str | Path,
    model: AnyModel,
    *,
    tools: Iterable[ToolLike] | Mapping[str, ToolLike] = (),
    trust_remote_code: bool = False,
    **options: Any,
) -> Any:
    """Return the agent of a folder with memory and state; takes and raises what :func:`agent_from_dict` does.

    The folder may hold code of tools, as those do that :func:`push_agent` writes; it runs if ``trust_remote_code``.
    """
    finder = ToolFinder(registry_of(tools), Path(folder), trust_remote_code)
    return folder_agent(Path(folder), model, finder, **options)


def folder_agent(path: Path, model: AnyModel, tools: ToolFinder, **options: Any) -> Any:
    """Return the agent of a folder, with tools from the finder; for :mod:`cloche.agent.hub`."""
    data = json.loads((path / "agent.json").read_text(encoding="utf-8"))
    models: Mapping[str, AnyModel] | None = options.pop("models", None)
    shipped = load_prompts(str(data.get("kind")), None) if _kind(data) else None
    if (path / "prompts.yaml").exists():
        data["prompts"] = PromptTemplates.load(path / "prompts.yaml", over=shipped).as_dict()
    agent = agent_of(data, model, tools, models, **options)
    if (path / "memory.json").exists():
        agent.memory = AgentMemory.load(path / "memory.json")
    agent.load_state(path)
    return agent


def _kind(data: Mapping[str, Any]) -> Any:
    where = _KINDS.get(str(data.get("kind")))
    if data.get("version") != _VERSION or where is None:
        problem = f"version {data.get('version')!r} of kind {data.get('kind')!r} is unknown; this is version {_VERSION}"
        raise ConfigurationError("agent", problem)
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)
