"""The tool that ends a run."""

from collections.abc import Callable
from typing import Any

from cloche.agent.calling import call_with_what_it_takes
from cloche.host_tools import FunctionTool, Tool, ToolRejected

__all__ = ["FINAL_ANSWER", "final_answer_tool", "refusal_of"]

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
