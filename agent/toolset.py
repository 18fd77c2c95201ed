"""The tools that an agent has beside those it was given: final_answer, and the agents it manages."""

import asyncio
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloche.agent.callbacks import call_with_what_it_takes
from cloche.agent.errors import AgentSuspended
from cloche.agent.loop.run import CallReplies
from cloche.agent.memory import AgentMemory
from cloche.agent.settings import ManagedAgent
from cloche.host_tools import FunctionTool, Tool, ToolRegistry, ToolRejected
from cloche.host_tools.policy.guarded import GuardedTools, WrappedTool
from cloche.runtime.bridge.pending import CannotSuspend, SuspendedCall
from cloche.runtime.errors import ConfigurationError

__all__ = [
    "FINAL_ANSWER",
    "Delegations",
    "Team",
    "base_tools",
    "final_answer_tool",
    "guard_of",
    "managed_tool",
    "may_wait",
    "refusal_of",
    "reported",
]

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
    """Return a tool that has ``agent`` work on a task for the current run, and returns its answer.

    If the agent, or one below it, has tools that wait for a person, calls of it suspend the program: the agent works
    while that stands still, and may wait then (:class:`Delegations`).
    """

    async def work(task: str, additional_args: dict[str, Any] | None = None) -> Any:
        return await agent.delegate(current_run(), task, additional_args or {})

    work.__doc__ = f"{agent.description}\n{_ARGUMENTS}"
    work.__annotations__["return"] = _returns(agent)
    return FunctionTool(work, name=agent.name, suspend=may_wait(agent))


def may_wait(agent: Any) -> bool:
    """Return whether the programs of an agent, or of one below it, have tools that suspend them."""
    tools: Any = getattr(agent, "tools", None)
    # Of an agent that runs no programs, no call waits.
    return getattr(agent, "kind", "") == "code" and isinstance(tools, ToolRegistry) and tools.any_suspends()


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


def reported(agent: Any, answer: Any, memory: AgentMemory) -> Any:
    """Return an agent's answer as its manager gets it: with a summary of the work, if that is wanted."""
    if not agent.settings.provide_run_summary:
        return answer
    summary = "\n".join(message.text for message in memory.messages(summary=True))
    return agent.prompts.render("report", name=agent.name, answer=answer, summary=summary)


_PLACES = 1_000_000
"""A call of an agent that works for call N of this one is shown as its own id times this, and N."""


class Delegations:
    """What agents are doing for the calls of a program that stands still meanwhile; some of it waits for a person.

    It is kept by the call's id, with the agents' own memory and programs, for as long as the program waits.
    """

    def __init__(self, owner: Any) -> None:
        self._owner, self._team = owner, owner.managed_agents
        self._twins: dict[int, Any] = {}

    def calls(self, pending: Iterable[SuspendedCall]) -> list[SuspendedCall]:
        """Return what waits for a person: calls of the program itself, and those of the agents at work for others."""
        shown: list[SuspendedCall] = []
        for call in pending:
            twin = self._twins.get(call.id)
            below: list[SuspendedCall] = [] if twin is None else twin.waiting_calls()
            shown += [call] if twin is None else [replace(each, id=each.id * _PLACES + call.id) for each in below]
        return shown

    def agent_of(self, call: int) -> tuple[Any, int]:
        """Return the agent at work that makes the call shown under that id, and the call's id there."""
        twin = self._twins.get(call % _PLACES)
        return (None, call) if call < _PLACES or twin is None else (twin, call // _PLACES)

    def split(self, replies: CallReplies) -> tuple[CallReplies, dict[int, CallReplies]]:
        """Return replies apart: those to the program's own calls, and to those of agents by the call they work for."""
        own: dict[str, Any] = {}
        below: dict[int, dict[str, Any]] = {}
        for name, given in replies.options.items():
            for id in given:
                to, place = (own, id) if id < _PLACES else (below.setdefault(id % _PLACES, {}), id // _PLACES)
                if isinstance(given, Mapping):
                    to.setdefault(name, {})[place] = given[id]
                else:
                    to[name] = (*to.get(name, ()), place)
        for call in below.keys() - self._twins.keys():
            raise ConfigurationError("id", f"no agent works for call {call}, so none of its calls waits")
        return CallReplies.of(**own), {call: CallReplies.of(**each) for call, each in below.items()}

    async def work(self, run: Any, pending: Iterable[SuspendedCall], replies: dict[int, CallReplies]) -> CallReplies:
        """Have agents work for these calls, or continue with their replies; return what has come of it so far."""
        due = [call for call in pending if self._is_due(call, replies)]
        made = await asyncio.gather(
            *(self._worked(run, call, replies.pop(call.id, None)) for call in due), return_exceptions=True
        )
        values: dict[int, Any] = {}
        errors: dict[int, BaseException] = {}
        for call, value in zip(due, made, strict=True):
            if isinstance(value, AgentSuspended):
                continue
            if isinstance(value, BaseException):
                errors[call.id] = value
            else:
                values[call.id] = self._owner.shown(value)
        if not run.may_wait:
            # There is no way to a person from here.
            errors |= {call.id: CannotSuspend(call.name) for call in pending if call.name not in self._team}
        return CallReplies.of(values=values, errors=errors)

    def _is_due(self, call: SuspendedCall, replies: dict[int, CallReplies]) -> bool:
        return call.name in self._team and (call.id not in self._twins or call.id in replies)

    async def _worked(self, run: Any, call: SuspendedCall, replies: CallReplies | None) -> Any:
        agent = self._team[call.name]
        twin = self._twins.get(call.id)
        if twin is None:
            twin = self._twins[call.id] = agent.copy()
        named = dict(zip(("task", "additional_args"), call.args, strict=False)) | call.kwargs
        given = self._owner.tools.handles.resolved(named)
        waits = False
        try:
            # Such ids have no room for more.
            may_wait = run.may_wait and call.id < _PLACES
            result = await twin.work_for(
                run, str(given.get("task")), given.get("additional_args"), may_wait=may_wait, replies=replies
            )
            waits = isinstance(result.error, AgentSuspended)
            return reported(agent, result.unwrap(), twin.memory)
        finally:
            if not waits:
                self._twins.pop(call.id, None)
                agent.memory = twin.memory
                twin.close()

    def save(self, folder: Path) -> None:
        """Write what waits to a folder, one below it for each call."""
        for left in folder.glob("call-*"):
            shutil.rmtree(left)
        for call, twin in self._twins.items():
            below = folder / f"call-{call}-{twin.name}"
            below.mkdir(mode=0o700, parents=True)
            twin.memory.save(below / "memory.json")
            twin.save_state(below)

    def load(self, folder: Path) -> None:
        """Take what was written."""
        self.close()
        for below in folder.glob("call-*"):
            call, name = below.name.removeprefix("call-").split("-", 1)
            twin = self._twins[int(call)] = self._team[name].copy()
            twin.memory = AgentMemory.load(below / "memory.json")
            twin.load_state(below)

    def close(self) -> None:
        """Give all of it up."""
        twins, self._twins = self._twins, {}
        for twin in twins.values():
            twin.close()


def base_tools(kind: str) -> dict[str, Tool]:
    """Return what ``add_base_tools`` adds. Raises ConfigurationError where their extras are not installed."""
    # Imported here: few agents need them.
    from cloche.host_tools.builtin import PythonInterpreterTool, VisitWebpageTool, WebSearchTool

    found: list[Tool] = [WebSearchTool(), VisitWebpageTool()]
    if kind != "code":
        found.append(PythonInterpreterTool())
    return {tool.name: tool for tool in found}
