"""The tools that an agent has beside those it was given: final_answer, and the agents it manages."""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

from cloche.agent.callbacks import call_with_what_it_takes
from cloche.agent.settings import ManagedAgent
from cloche.host_tools import FunctionTool, Tool, ToolRegistry, ToolRejected
from cloche.host_tools.policy.guarded import GuardedTools, WrappedTool
from cloche.runtime.errors import ConfigurationError

__all__ = ["FINAL_ANSWER", "Team", "base_tools", "final_answer_tool", "guard_of", "managed_tool", "refusal_of"]

FINAL_ANSWER = "final_answer"
_DOC = """End the task with this answer.

Args:
    answer: The answer to the task.
"""


def final_answer_tool(output_type: Any, accept: Callable[[Any], None], own: Tool | None, blocking: bool) -> Tool:
    """Return a tool that hands its checked and converted argument to ``accept``.

    ``own`` is a tool of that name that the agent was given: what it returns for the answer is then the answer.
    """

    def final_answer(answer: Any) -> None:
        accept(answer if own is None else own(answer))

    final_answer.__doc__ = _DOC if own is None else own.description
    final_answer.__annotations__ = {"answer": Any if output_type is None else output_type, "return": None}
    # A tool of the user's own that has to be approved, or is answered later, is so here too.
    suspend, approval = (False, False) if own is None else (own.suspend, own.approval)
    return FunctionTool(final_answer, name=FINAL_ANSWER, blocking=blocking, suspend=suspend, approval=approval)


def refusal_of(answer: Any, checks: "list[Callable[..., Any]]", *context: Any) -> ToolRejected | None:
    """Return why one of the checks refuses the answer, or None.

    A check is called with the answer and as much of ``context`` as it has parameters for.
    """
    for check in checks:
        name = getattr(check, "__name__", "check")
        try:
            if call_with_what_it_takes(check, answer, *context) is False:
                return ToolRejected("ValueError", f"the answer was refused by {name}: give a better one")
        except Exception as error:
            return ToolRejected("ValueError", f"the answer was refused by {name}: {error}")
    return None


def guard_of(tools: Any) -> GuardedTools | None:
    """Return the policies that tools are under, if all that are under any are under the same."""
    if isinstance(tools, GuardedTools):
        return tools
    guards = [tool.guard for tool in tools.values() if isinstance(tool, WrappedTool)]
    first = guards[0] if guards else None
    return first if isinstance(first, GuardedTools) else None


_ARGUMENTS = """\

Args:
    task: The whole task in words, with every detail it needs.
    additional_args: Values it gets as variables, by name.
"""


def managed_tool(current_run: Callable[[], Any], agent: ManagedAgent) -> Tool:
    """Return a tool that has ``agent`` work on a task for the current run, and returns its answer."""

    async def work(task: str, additional_args: dict[str, Any] | None = None) -> Any:
        return await agent.delegate(current_run(), task, additional_args or {})

    work.__doc__ = f"{agent.description}\n{_ARGUMENTS}"
    work.__annotations__["return"] = _returns(agent)
    return FunctionTool(work, name=agent.name)


def _returns(agent: ManagedAgent) -> Any:
    if agent.settings.provide_run_summary:
        return str
    return Any if agent.settings.output_type is None else agent.settings.output_type


class Team(MutableMapping[str, ManagedAgent]):
    """The agents that an agent manages, by their names. Each is a tool in ``tools`` as long as it is in here.

    ``changed`` is called after each change. Raises ConfigurationError for an agent without name or description, for
    another name than its own, or one that a tool has.
    """

    def __init__(self, current_run: Callable[[], Any], changed: Callable[[], None]) -> None:
        self.tools: ToolRegistry | None = None
        self._agents: dict[str, ManagedAgent] = {}
        self._current_run = current_run
        self._changed = changed

    def join(self, agents: Sequence[ManagedAgent]) -> None:
        """Take agents in. Raises ConfigurationError where two have one name."""
        for agent in agents:
            if agent.name in self._agents:
                raise ConfigurationError("managed_agents", "two of them have the same name")
            self[agent.name] = agent

    def register(self, tools: ToolRegistry) -> None:
        """Make the agents tools of a registry, now and from now on."""
        for name, agent in self._agents.items():
            self._check_free(name, tools)
            tools[name] = managed_tool(self._current_run, agent)
        self.tools = tools

    def __getitem__(self, name: str) -> ManagedAgent:
        return self._agents[name]

    def __setitem__(self, name: str, agent: ManagedAgent) -> None:
        if not agent.name or not agent.description:
            problem = f"{agent!r} needs a name and a description: its manager knows nothing else of it"
            raise ConfigurationError("managed_agents", problem)
        if name != agent.name:
            raise ConfigurationError("managed_agents", f"{agent!r} goes by its own name, {agent.name!r}, not {name!r}")
        if self.tools is not None:
            if name not in self._agents:
                self._check_free(name, self.tools)
            self.tools[name] = managed_tool(self._current_run, agent)
        self._agents[name] = agent
        self._changed()

    def __delitem__(self, name: str) -> None:
        del self._agents[name]
        if self.tools is not None:
            self.tools.pop(name, None)
        self._changed()

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._agents))

    def __len__(self) -> int:
        return len(self._agents)

    def __repr__(self) -> str:
        return f"Team({', '.join(self._agents)})"

    def _check_free(self, name: str, tools: ToolRegistry) -> None:
        if name in tools:
            raise ConfigurationError("managed_agents", f"a tool is called {name!r} already: rename one of them")


def base_tools(kind: str) -> dict[str, Tool]:
    """Return what ``add_base_tools`` adds. Raises ConfigurationError where their extras are not installed."""
    # Imported here: few agents need them.
    from cloche.host_tools.builtin import PythonInterpreterTool, VisitWebpageTool, WebSearchTool

    found: list[Tool] = [WebSearchTool(), VisitWebpageTool()]
    if kind != "code":
        found.append(PythonInterpreterTool())
    return {tool.name: tool for tool in found}
