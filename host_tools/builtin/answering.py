"""The tool an agent's code gives its result with."""

from typing import Any

from cloche.host_tools.base import Tool

__all__ = ["FinalAnswer"]


class FinalAnswer(Tool):
    """Give the final answer to the task. Call it once, when the task is done.

    Args:
        answer: the answer, of any type that can leave the sandbox
    """

    name = "final_answer"
    blocking = False

    def __init__(self) -> None:
        self.given = False
        self.answer: Any = None

    def forward(self, answer: Any) -> Any:
        """Keep the answer, the latest if there are several, and return it."""
        self.answer, self.given = answer, True
        return answer

    def reset(self) -> None:
        """Forget the answer, before the next task."""
        self.answer, self.given = None, False
