"""Agents as tools of another agent."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cloche.agent.events import RunResult
from cloche.host_tools import FunctionTool, Tool

if TYPE_CHECKING:
    from cloche.agent.flow.run import Run
    from cloche.agent.multistep import MultiStepAgent

__all__ = ["managed_tool"]

_ARGUMENTS = """\

Args:
    task: The whole task in words, with every detail it needs.
    additional_args: Values it gets as variables, by name.
"""


def managed_tool(current_run: "Callable[[], Run | None]", agent: "MultiStepAgent") -> Tool:
    """Return a tool that has ``agent`` work on a task and returns its answer.

    Each call works with a copy of the agent, so that calls may run at the same time; the memory of the latest one to
    end is then the agent's. What it spends is booked on the caller's run too, and what it fails with is raised.
    """

    async def work(task: str, additional_args: dict[str, Any] | None = None) -> Any:
        return await _delegate(current_run(), agent, task, additional_args or {})

    work.__doc__ = f"{agent.description}\n{_ARGUMENTS}"
    work.__annotations__["return"] = _returns(agent)
    return FunctionTool(work, name=agent.name)


def _returns(agent: "MultiStepAgent") -> Any:
    if agent.settings.provide_run_summary:
        return str
    return Any if agent.settings.output_type is None else agent.settings.output_type


async def _delegate(run: "Run | None", agent: "MultiStepAgent", task: str, variables: dict[str, Any]) -> Any:
    twin = agent.copy()
    text = twin.prompts.render("managed_task", name=agent.name, task=task)
    try:
        result = await twin.work_for(run, text, variables)
    finally:
        agent.memory = twin.memory
        twin.close()
    answer = result.unwrap()
    return _with_summary(twin, result, answer) if agent.settings.provide_run_summary else answer


def _with_summary(agent: "MultiStepAgent", result: RunResult, answer: Any) -> str:
    summary = "\n".join(message.text for message in agent.memory.messages(summary=True))
    return agent.prompts.render("report", name=agent.name, answer=answer, summary=summary)
