"""The tools that an agent has beside those it was given: final_answer, and the agents it manages."""

from collections.abc import Callable
from typing import Any

from cloche.agent.callbacks import call_with_what_it_takes
from cloche.agent.settings import ManagedAgent
from cloche.host_tools import FunctionTool, Tool, ToolRejected
from cloche.host_tools.policy.guarded import GuardedTools, WrappedTool

__all__ = ["FINAL_ANSWER", "final_answer_tool", "guard_of", "managed_tool", "refusal_of"]

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
