"""The tools that an agent has beside those it was given: final_answer, and the agents it manages."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cloche.agent.callbacks import call_with_what_it_takes
from cloche.agent.events import RunResult
from cloche.host_tools import FunctionTool, Tool, ToolRejected

if TYPE_CHECKING:
    from cloche.agent.base import MultiStepAgent
    from cloche.agent.loop.run import Run

__all__ = ["FINAL_ANSWER", "final_answer_tool", "managed_tool", "refusal_of"]


FINAL_ANSWER = "final_answer"
_DOC = """End the task with this answer.

Args:
    answer: The answer to the task.
"""


def final_answer_tool(output_type: Any, accept: Callable[[Any], None], own: Tool | None, blocking: bool) -> Tool:
    """Return a tool that hands its checked and converted argument to ``accept``.

    ``own`` is a tool of the user's own of that name: what it makes of the answer is then the answer.
    """

    def final_answer(answer: Any) -> None:
        accept(answer if own is None else own(answer))

    final_answer.__doc__ = _DOC if own is None else own.description
    final_answer.__annotations__ = {"answer": Any if output_type is None else output_type, "return": None}
    # What a tool of the user's own demands before it runs holds here too.
    suspend, approval = (False, False) if own is None else (own.suspend, own.approval)
    return FunctionTool(final_answer, name=FINAL_ANSWER, blocking=blocking, suspend=suspend, approval=approval)


def refusal_of(answer: Any, checks: "list[Callable[..., Any]]", *context: Any) -> ToolRejected | None:
    """Return why one of the checks refuses the answer, or None; each takes the answer, and of ``context`` its fill."""
    for check in checks:
        name = getattr(check, "__name__", "check")
        try:
            if call_with_what_it_takes(check, answer, *context) is False:
                return ToolRejected("ValueError", f"the answer was refused by {name}: give a better one")
        except Exception as error:
            return ToolRejected("ValueError", f"the answer was refused by {name}: {error}")
    return None


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
