"""Agents on the Hugging Face Hub: a repository that holds an agent's folder, and the code of its tools."""

import json
import tempfile
from collections.abc import Container, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cloche.agent.models.base import AnyModel
from cloche.agent.models.named import as_model, model_named, reference_of
from cloche.agent.prompting import load_prompts
from cloche.agent.saving import CODE, SavedAgent, ToolFinder, agent_to_dict, code_path, folder_agent, is_elsewhere
from cloche.agent.settings import RunBudget, default_limits
from cloche.host_tools import HubError, RemoteCodeRefused, Tool, ToolDefinitionError, ToolLike
from cloche.host_tools.external.hub.repo import MAX_TEXT, HubOptions, HubRepo
from cloche.host_tools.external.hub.source import requirements_of, tool_source
from cloche.host_tools.external.hub.tools import hub_card
from cloche.host_tools.registry import registry_of
from cloche.host_tools.schema_tool import SchemaTool
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits

if TYPE_CHECKING:
    from cloche.runtime.sandbox import Sandbox

__all__ = ["AgentShape", "ToolShape", "pull_agent", "push_agent"]

_LIMITS = {field.name for field in fields(Limits)}
_BUDGET = {field.name for field in fields(RunBudget)}


class ToolShape(BaseModel):
    """A tool by reference; see :class:`cloche.agent.saving.ToolFinder`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    where: str = Field(default="", alias="from")
    description: str = ""
    guarded: bool = False


class AgentShape(BaseModel):
    """An agent as data, as :func:`cloche.agent.saving.agent_to_dict` makes it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: int
    kind: Literal["code", "tool_calling"]
    name: str = ""
    description: str = ""
    instructions: str = ""
    max_steps: int = 20
    planning_interval: int | None = None
    observation_limit: int = 20_000
    provide_run_summary: bool = False
    budget: dict[str, float | int | None] = {}
    prompts: dict[str, str] = {}
    tools: list[ToolShape] = []
    managed_agents: "list[AgentShape]" = []
    limits: dict[str, float | int | None] = {}
    imports: list[str] | None = None
    tags: list[str] = []
    model: str = Field(default="", max_length=300)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        unknown = sorted((self.limits.keys() - _LIMITS) | (self.budget.keys() - _BUDGET))
        if unknown:
            raise ValueError(f"there is no limit or budget {unknown[0]!r}")
        if self.kind == "code" and (not self.limits or len(self.tags) != 2):
            raise ValueError("an agent that writes code has limits, and two tags")
        return self

    def everyone(self) -> "list[AgentShape]":
        """Return this agent and all that it manages, directly or not."""
        return [self, *(one for managed in self.managed_agents for one in managed.everyone())]

    def looser(self) -> str:
        """Name a limit that is looser than the default one, with its value; empty if there is none."""
        defaults = default_limits(manages=bool(self.managed_agents))
        for name, value in self.limits.items():
            default = getattr(defaults, name)
            if default is not None and (value is None or value > default):
                return f"{name}={value} (default {default})"
        return ""


_AGENT = "agent.json"
# What is remembered, and how large it may be.
_MEMORY = {"memory.json": 64 << 20, "session.snapshot": 256 << 20}
_MAX_TOOLS = 100


def push_agent(
    agent: SavedAgent,
    repo_id: str,
    *,
    memory: bool = False,
    commit_message: str = "Upload agent",
    private: bool | None = None,
    create_pr: bool = False,
    **hub: Unpack[HubOptions],
) -> str:
    """Write an agent to a repository on the Hub, made if there is none, and return the commit's id.

    It is ``agent.json``, with those prompts that differ from the shipped ones, and the code of its tools: of those that
    stand by themselves, as in :func:`cloche.host_tools.external.push_tool`. Tools that came from elsewhere are named by
    where that is, and the others by ``module:name``. Of its model there is the name, if that alone makes it again; keys
    and options are never part of it.
    ``memory`` adds what the agent remembers and the state of its code, with everything in it that was private.
    ``private`` is for a new repository; default: as the Hub does it, which is public.

    Raises HubError, ConfigurationError where ``cloche[hub]`` is not installed or two tools have one name.
    """
    repo = HubRepo(repo_id, **hub)
    files: dict[str, bytes] = {}
    data = _shared(agent, files)
    if name := reference_of(getattr(agent, "model", None)):
        data["model"] = name
    with tempfile.TemporaryDirectory(prefix="cloche-") as folder:
        if memory:
            agent.save(folder)
            files |= {name: (Path(folder) / name).read_bytes() for name in _MEMORY if (Path(folder) / name).exists()}
    files[_AGENT] = json.dumps(data, indent=1, ensure_ascii=False).encode()
    files["requirements.txt"] = _requirements(files)
    files["README.md"] = _card(agent, repo_id)
    return repo.write(files, commit_message, private=private, create_pr=create_pr)


def pull_agent(
    repo_id: str,
    model: AnyModel | str | None = None,
    *,
    trust_remote_code: bool = False,
    memory: bool = False,
    tools: Iterable[ToolLike] | Mapping[str, ToolLike] = (),
    tools_in: "Sandbox | None" = None,
    **options: Any,
) -> Any:
    """Return the agent of a repository on the Hub. ``options`` are those of :class:`HubOptions` and of the agent.

    Without trust it is settings and text: its tools have to be given as ``tools``, by name, and it is refused if it
    has templates of prompts of its own or asks for more than the default limits. With ``trust_remote_code=True`` its
    tools' code runs on this host, and whatever it names is imported or fetched; give the ``revision`` that was read.
    With ``tools_in``, a sandbox, their code runs there, each tool's in a session of its own, and needs no trust.
    ``memory`` takes what it remembers and the state of its code too, and needs trust.
    Without a ``model`` it is the one that the repository names, asked with this host's keys, which needs trust as well.

    Raises RemoteCodeRefused; ConfigurationError for loose limits; HubError if a file is missing, too large, or not an
    agent's; and what loading a tool raises.
    """
    hub: Any = {name: options.pop(name) for name in HubOptions.__annotations__ if name in options}
    repo = HubRepo(repo_id, **hub)
    if memory and not trust_remote_code:
        raise RemoteCodeRefused(repo.address, "the state of its program")
    shape = _shape(repo)
    if not trust_remote_code:
        _check(shape, repo.address, options.keys())
    asked = as_model(model) if model is not None else _own_model(shape, repo.address, trust_remote_code)
    with tempfile.TemporaryDirectory(prefix="cloche-") as folder:
        given = registry_of(tools)
        runs = trust_remote_code or tools_in is not None
        names = dict.fromkeys(_code_paths(shape, given), MAX_TEXT) if runs else {}
        _fetch(repo, Path(folder), names, _MEMORY if memory else {})
        finder = ToolFinder(given, Path(folder), trust_remote_code, strangers=True, sandbox=tools_in, hub=hub)
        return folder_agent(Path(folder), asked, finder, **options)


def _shape(repo: HubRepo) -> AgentShape:
    try:
        return AgentShape.model_validate_json(repo.read(_AGENT))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise HubError(
            repo.address, f"{_AGENT} is not an agent of Cloche's: {where[:100]}: {first['msg'][:300]}"
        ) from error


def _own_model(shape: AgentShape, address: str, trusted: bool) -> AnyModel:
    if shape.model and trusted:
        return model_named(shape.model)
    named = f"{shape.model}, which trust_remote_code=True would ask" if shape.model else "none"
    raise ConfigurationError("model", f"pass the model that {address} is to ask; it names {named}")


def _check(shape: AgentShape, address: str, given: Container[str]) -> None:
    """Refuse what is more than settings and text, and was not replaced by the caller's own."""
    for one in shape.everyone():
        own: Container[str] = given if one is shape else ()
        if one.prompts and "prompts" not in own:
            # Templates are programs: a loop in one is the host's to run.
            raise RemoteCodeRefused(address, "its templates of prompts, which prompts= does not replace,")
        if one.looser() and "limits" not in own:
            problem = f"{address} asks for {one.looser()}: pass limits=Limits(...), or trust_remote_code=True"
            raise ConfigurationError("limits", problem)


def _code_paths(shape: AgentShape, given: Container[str]) -> list[str]:
    tools = {tool.name for one in shape.everyone() for tool in one.tools if tool.where.startswith(CODE)}
    if len(tools) > _MAX_TOOLS:
        raise ConfigurationError("tools", f"it has {len(tools)} tools, and the code of at most {_MAX_TOOLS} is loaded")
    return [code_path(name) for name in sorted(tools) if name not in given]


def _fetch(repo: HubRepo, folder: Path, needed: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    """Write files into the folder, under names that are ours; what is only wanted may be missing."""
    (folder / CODE).mkdir()
    (folder / _AGENT).write_bytes(repo.read(_AGENT))
    for name, max_size in needed.items():
        (folder / name).write_bytes(repo.read(name, max_size))
    for name, max_size in wanted.items():
        content = repo.find(name, max_size)
        if content is not None:
            (folder / name).write_bytes(content)


def _shared(agent: SavedAgent, files: dict[str, bytes]) -> dict[str, Any]:
    """Return an agent as data, and put the code of its tools into the files."""
    data = agent_to_dict(agent)
    shipped = load_prompts(agent.kind, None).as_dict()
    data["prompts"] = {name: text for name, text in agent.prompts.as_dict().items() if text != shipped[name]}
    tools = registry_of(agent.given_tools())
    data["tools"] = [_with_code(one, tools[one["name"]], files) for one in data["tools"]]
    data["managed_agents"] = [_shared(managed, files) for managed in agent.managed_agents.values()]
    return data


def _with_code(reference: dict[str, Any], tool: Tool, files: dict[str, bytes]) -> dict[str, Any]:
    """Return a tool's reference: to its code if that can come along and would be of use."""
    where = reference["from"]
    is_ours = where.startswith("cloche.") and not isinstance(tool, SchemaTool)
    if "guarded" in reference or is_ours or is_elsewhere(where):
        return reference
    try:
        source = tool_source(tool).encode()
    except ToolDefinitionError:
        # When the agent is pulled, it is imported by its name, or a tool of that name is given.
        return reference
    path = code_path(reference["name"])
    if files.setdefault(path, source) != source:
        raise ConfigurationError(
            "tools", f"two agents have tools {reference['name']!r} that differ: rename one of them"
        )
    return {"name": reference["name"], "from": path}


def _requirements(files: Mapping[str, bytes]) -> bytes:
    code = [content.decode() for name, content in files.items() if name.startswith(CODE)]
    found = {package for source in code for package in requirements_of(source)} - {"cloche"}
    return "".join(f"{name}\n" for name in ["cloche[agent,hub]", *sorted(found)]).encode()


def _card(agent: SavedAgent, repo_id: str) -> bytes:
    load = (
        "from cloche.agent import LiteLLMModel, MultiStepAgent\n\n"
        f"agent = MultiStepAgent.from_hub({repo_id!r}, LiteLLMModel(...), revision=..., trust_remote_code=True)"
    )
    return hub_card(repo_id.partition("/")[2] or repo_id, "agent", agent.description, load).encode()
