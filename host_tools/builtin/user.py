"""What passes between a program and the user: the final answer, and questions asked at the keyboard."""

import unicodedata
from collections.abc import Callable
from typing import Any

from cloche.host_tools.tools import Tool

__all__ = ["AskUser", "FinalAnswer"]


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


_MAX_LENGTH = 4_000


class AskUser(Tool):
    """Ask the user a question and return the answer.

    Args:
        question: what to ask, in one or a few sentences
    """

    name = "ask_user"

    def __init__(self, ask: Callable[[str], str] = input) -> None:
        """Ask with ``ask``, by default on the terminal.

        It is given the question without control characters: what a program writes must not move the cursor,
        set the window's title or look like another prompt.
        """
        self._ask = ask

    def forward(self, question: str) -> str:
        """Ask, and wait for the answer; an end of the input is an empty answer."""
        try:
            return self._ask(f"{_harmless(question[:_MAX_LENGTH])}\n> ")
        except EOFError:
            return ""


def _harmless(text: str) -> str:
    return "".join(mark if mark == "\n" or unicodedata.category(mark)[0] != "C" else "\ufffd" for mark in text)
