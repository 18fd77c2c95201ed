"""What all agents have in common, apart from being run: tools, memory, prompts, and the places subclasses fill."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from cloche.agent.callbacks import CallbackTable
from cloche.agent.final_answer import FINAL_ANSWER, final_answer_tool, refusal_of
from cloche.agent.flow.run import Run
from cloche.agent.managed import managed_tool
from cloche.agent.memory.memory import AgentMemory
from cloche.agent.memory.steps import ActionStep
from cloche.agent.models.protocol import Model
from cloche.agent.prompting import load_prompts
from cloche.agent.saving import agent_to_dict, save_folder
from cloche.agent.settings import AgentOptions, Observer, Settings
from cloche.agent.stubs import stubs
from cloche.host_tools import Tool, ToolLike, ToolRegistry
from cloche.host_tools.registry import registry_of
from cloche.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from cloche.agent.multistep import MultiStepAgent

__all__ = ["AgentCore", "Tools"]

Tools = Iterable[ToolLike] | Mapping[str, ToolLike]
"""What an agent takes as its tools: a list, a mapping by name, a registry, or GuardedTools with their policies."""


class AgentCore:
    """The parts of an agent. ``tools`` is its own registry, which holds final_answer and the managed agents too."""

    kind = ""
    memory: AgentMemory

    def __init__(self, tools: Tools = (), model: Model | None = None, **options: Unpack[AgentOptions]) -> None:
        if model is None:
            raise ConfigurationError("model", "an agent needs one, such as LiteLLMModel('openai/gpt-5-mini')")
        self.model = model
        self.settings = Settings(**options)
        self.prompts = load_prompts(self.kind, self.settings.prompts)
        self.callbacks = CallbackTable(self.settings.step_callbacks)
        self.memory = AgentMemory()
        self.managed_agents = _by_name(self.settings.managed_agents)
        self._run: Run | None = None
        self._prompt_version = -1
        self._own_final_answer: Tool | None = None
        self.tools = self._registry(tools)

    @property
    def name(self) -> str:
        """The agent's name; empty if it has none."""
        return self.settings.name

    @property
    def description(self) -> str:
        """What the agent is good for; empty if nobody said."""
        return self.settings.description

    @property
    def current_run(self) -> Run | None:
        """The run that is going on, if any."""
        return self._run

    def act(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        """Do what makes a step: subclasses say what. Yields events and effects."""
        raise NotImplementedError

    def go_on(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        """Go on with a step that waits for answers, which are the run's."""
        raise NotImplementedError

    def prepare(self, run: Run) -> None:
        """Get ready for a run; may block."""

    def save_state(self, folder: Path) -> None:
        """Write what belongs to the agent beside its memory into a folder; nothing where there is nothing."""

    def load_state(self, folder: Path) -> None:
        """Take what :meth:`save_state` wrote."""

    def give(self, variables: dict[str, Any]) -> None:
        """Take the variables of ``additional_args``."""

    def forget(self) -> None:
        """Forget all steps and variables: the next run begins anew."""
        self.memory.reset()

    def close(self) -> None:
        """Free what the agent holds. Safe to call twice."""

    def prompt_values(self) -> dict[str, Any]:
        """Return what the system prompt's template may use."""
        agents, instructions = sorted(self.managed_agents), self.settings.instructions
        return {"tools": self.tool_stubs(), "agents": agents, "instructions": instructions}

    def tool_stubs(self) -> str:
        """Return the tools as the model reads them."""
        return stubs(self.tools.specs())

    def refresh_prompt(self) -> None:
        """Write the system prompt again if the tools have changed since."""
        version = self.tools.version()
        if version != self._prompt_version:
            self.memory.system.prompt = self.prompts.render("system", **self.prompt_values())
            self._prompt_version = version

    def observers(self) -> list[Observer]:
        """Return who is told of its events: the observers of its settings, and the terminal if it is verbose."""
        return [*self.settings.observers, *_terminal(self.settings.verbosity)]

    def copy(self) -> Self:
        """Return an agent like this one, with a memory, session and registry of its own."""
        options: Any = {name: getattr(self.settings, name) for name in AgentOptions.__annotations__}
        return type(self)(self.own_tools(), self.model, **options, **self._own_arguments())

    def to_dict(self) -> dict[str, Any]:
        """Return the agent as data that JSON can hold; see :func:`cloche.agent.saving.agent_to_dict`."""
        return agent_to_dict(self)

    def save(self, folder: str | Path) -> None:
        """Write agent, prompts, memory and state to a folder, without model, keys and callbacks."""
        save_folder(self, folder)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Write the agent to a repository on the Hugging Face Hub and return the commit's id.

        See :func:`cloche.agent.sharing.push_agent` for what it takes and raises.
        """
        # Imported here, as all that only some programs need.
        from cloche.agent.sharing import push_agent

        return push_agent(self, repo_id, **options)

    def own_tools(self) -> dict[str, ToolLike]:
        """Return the tools it was given: without managed agents, and without final_answer unless that was given too."""
        taken = {FINAL_ANSWER, *self.managed_agents}
        given: dict[str, ToolLike] = {name: tool for name, tool in self.tools.items() if name not in taken}
        return given if self._own_final_answer is None else {**given, FINAL_ANSWER: self._own_final_answer}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{f' {self.name}' if self.name else ''}, {len(self.tools)} tools>"

    def _own_arguments(self) -> dict[str, Any]:
        return {}

    def _registry(self, tools: Tools) -> ToolRegistry:
        registry = tools.copy() if isinstance(tools, ToolRegistry) else registry_of(tools)
        self._own_final_answer = registry.get(FINAL_ANSWER)
        for name, agent in self.managed_agents.items():
            if name in registry:
                raise ConfigurationError("managed_agents", f"a tool is called {name!r} already: rename one of them")
            registry[name] = managed_tool(lambda: self._run, agent)
        settings = self.settings
        may_block = bool(settings.final_answer_checks) or self._own_final_answer is not None
        registry[FINAL_ANSWER] = final_answer_tool(
            settings.output_type, self._accept, self._own_final_answer, may_block
        )
        return registry

    def _accept(self, answer: Any) -> None:
        refusal = refusal_of(answer, list(self.settings.final_answer_checks), self.memory, self)
        if refusal is not None:
            raise refusal
        if self._run is not None:
            self._run.answers.append(answer)


def _by_name(agents: "Sequence[MultiStepAgent]") -> "dict[str, MultiStepAgent]":
    for agent in agents:
        if not agent.name or not agent.description:
            problem = f"{agent!r} needs a name and a description: its manager knows nothing else of it"
            raise ConfigurationError("managed_agents", problem)
    named = {agent.name: agent for agent in agents}
    if len(named) < len(agents):
        raise ConfigurationError("managed_agents", "two of them have the same name")
    return named


def _terminal(verbosity: int) -> list[Callable[..., Any]]:
    if verbosity <= 0:
        return []
    from cloche.agent.monitoring.terminal import TerminalLog

    return [TerminalLog(verbosity)]
