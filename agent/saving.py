"""Agents as plain data, and as folders."""

import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.agent.budgets import Budget
from cloche.agent.memory.memory import AgentMemory
from cloche.agent.models.protocol import Model
from cloche.agent.prompting import PromptTemplates, load_prompts
from cloche.agent.tool_references import ToolFinder, tool_reference
from cloche.host_tools import ToolLike
from cloche.host_tools.registry import registry_of
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits

if TYPE_CHECKING:
    from cloche.agent.core import AgentCore
    from cloche.agent.multistep import MultiStepAgent

__all__ = ["agent_from_dict", "agent_of", "agent_to_dict", "folder_agent", "load_folder", "save_folder"]

_VERSION = 1
_PLAIN = ("name", "description", "instructions", "max_steps", "planning_interval", "observation_limit")
_BUDGET = ("tokens", "cost", "seconds", "tool_calls")
_LIMITS = ("fuel", "memory", "time", "output", "calls", "result", "argument", "files", "file_bytes")


def agent_to_dict(agent: "AgentCore") -> dict[str, Any]:
    """Return an agent as data that JSON can hold: its kind, settings, prompts, agents, and its tools by reference.

    Tools are named as ``module:name``, never copied as code. Models, keys, callbacks, checks and types are not part
    of it: whoever loads the agent gives them.
    """
    settings = agent.settings
    data: dict[str, Any] = {"version": _VERSION, "kind": agent.kind}
    data |= {name: getattr(settings, name) for name in (*_PLAIN, "provide_run_summary")}
    data["budget"] = {name: getattr(settings.budget, name) for name in _BUDGET}
    data["prompts"] = agent.prompts.as_dict()
    data["tools"] = [tool_reference(name, tool) for name, tool in registry_of(agent.own_tools()).items()]
    data["managed_agents"] = [agent_to_dict(managed) for managed in agent.managed_agents.values()]
    return data | _own(agent)


def agent_from_dict(
    data: Mapping[str, Any],
    model: Model,
    *,
    tools: Iterable[ToolLike] | Mapping[str, ToolLike] = (),
    models: Mapping[str, Model] | None = None,
    trust_remote_code: bool = False,
    **options: Any,
) -> "MultiStepAgent":
    """Return the agent that the data describes.

    ``tools`` are taken by name before anything is imported; the others are imported by their reference, which runs
    their module: load only what you trust.
    ``models`` gives managed agents others by name, ``options`` replace settings.
    Tools that came from the Hub or from a Gradio app are fetched again if ``trust_remote_code``.
    Raises ConfigurationError for data of another version or kind, or a tool that cannot be found; RemoteCodeRefused.
    """
    return agent_of(data, model, ToolFinder(registry_of(tools), trusted=trust_remote_code), models, **options)


def agent_of(
    data: Mapping[str, Any], model: Model, tools: ToolFinder, models: Mapping[str, Model] | None, **options: Any
) -> "MultiStepAgent":
    """Return the agent that the data describes, with tools from the finder; for the modules that share agents."""
    make = _kind(data)
    managed = [
        agent_of(one, (models or {}).get(str(one.get("name")), model), tools, models)
        for one in data.get("managed_agents", ())
    ]
    settings = {name: data[name] for name in (*_PLAIN, "provide_run_summary") if name in data}
    settings["budget"] = Budget(**data.get("budget", {}))
    settings["prompts"] = PromptTemplates.of(data.get("prompts", {}), over=load_prompts(data["kind"], None))
    found = {str(one["name"]): tools.find(one) for one in data.get("tools", ())}
    agent: MultiStepAgent = make(found, model, **{**settings, "managed_agents": managed, **_own_from(data), **options})
    return agent


def save_folder(agent: "AgentCore", folder: str | Path) -> None:
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
    model: Model,
    *,
    tools: Iterable[ToolLike] | Mapping[str, ToolLike] = (),
    trust_remote_code: bool = False,
    **options: Any,
) -> "MultiStepAgent":
    """Return the agent of a folder with memory and state; takes and raises what :func:`agent_from_dict` does.

    The folder may hold code of tools, as those do that :func:`push_agent` writes; it runs if ``trust_remote_code``.
    """
    finder = ToolFinder(registry_of(tools), Path(folder), trust_remote_code)
    return folder_agent(Path(folder), model, finder, **options)


def folder_agent(path: Path, model: Model, tools: ToolFinder, **options: Any) -> "MultiStepAgent":
    """Return the agent of a folder, with tools from the finder; for the modules that share agents."""
    data = json.loads((path / "agent.json").read_text(encoding="utf-8"))
    models: Mapping[str, Model] | None = options.pop("models", None)
    shipped = load_prompts(str(data.get("kind")), None) if _kind(data) else None
    if (path / "prompts.yaml").exists():
        data["prompts"] = PromptTemplates.load(path / "prompts.yaml", over=shipped).as_dict()
    agent = agent_of(data, model, tools, models, **options)
    if (path / "memory.json").exists():
        agent.memory = AgentMemory.load(path / "memory.json")
    agent.load_state(path)
    return agent


def _own(agent: "AgentCore") -> dict[str, Any]:
    from cloche.agent.code_agent import CodeAgent

    if not isinstance(agent, CodeAgent):
        return {}
    limits = {name: getattr(agent.limits, name) for name in _LIMITS}
    return {"limits": limits, "imports": agent.imports, "tags": agent.tags}


def _own_from(data: Mapping[str, Any]) -> dict[str, Any]:
    if data["kind"] != "code":
        return {}
    return {"limits": Limits(**data["limits"]), "imports": data["imports"], "tags": tuple(data["tags"])}


def _kind(data: Mapping[str, Any]) -> Any:
    kinds = {"code": ("code_agent", "CodeAgent"), "tool_calling": ("tool_agent", "ToolCallingAgent")}
    if data.get("version") != _VERSION or data.get("kind") not in kinds:
        problem = f"version {data.get('version')!r} of kind {data.get('kind')!r} is not known here"
        raise ConfigurationError("agent", problem)
    module, name = kinds[data["kind"]]
    return getattr(import_module(f"cloche.agent.{module}"), name)
