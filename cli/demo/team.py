"""The team: who is in it, what it is asked, and where its models are. And the agents of the page's demo beside it."""

import asyncio
import importlib.util
import os
import re
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any

from cloche.agent import CodeAgent, LiteLLMModel, Model, ReplayModel, ScriptedModel
from cloche.agent.models.base import Delta, ModelRequest, Piece
from cloche.cli.demo.tools import factorial, prime_checker
from cloche.cli.flags import model_of_environment
from cloche.host_tools import tool

__all__ = ["TASK", "analyst", "live_model", "seeker", "specialists", "team"]

TASK = "Which of the numbers n! + 1 with n up to 7 are prime, which are squares, and what is known about the squares?"
_LIBRARY = {
    "Wilson": "Wilson's theorem: a number n > 1 is prime exactly if (n - 1)! + 1 is divisible by n.",
    "Brocard": "Brocard's problem: for which n is n! + 1 a square? Known are n = 4, 5 and 7 only.",
}


@tool(blocking=False)
def look_up(topic: str) -> str:
    """Look a topic of number theory up in the library.

    Args:
        topic: A name or a keyword.
    """
    words = topic.lower().split()
    found = [text for name, text in _LIBRARY.items() if name.lower() in words or any(word in text for word in words)]
    return "\n".join(found) or "nothing found"


def live_model() -> str:
    """Return the name of a model that can be reached, as far as one can tell from here; empty if there is none."""
    if importlib.util.find_spec("litellm") is None:
        return ""
    return os.environ.get("CLOCHE_MODEL") or model_of_environment() or ""


def team(live: str, **options: Any) -> CodeAgent:
    """Return the manager, with the model named ``live``, or recordings of one; ``options`` are the manager's own."""
    maths = CodeAgent(
        [factorial, prime_checker],
        _model("maths", live),
        name="maths",
        description="Works with numbers. Has factorial and prime_checker.",
        max_steps=6,
    )
    research = CodeAgent(
        [look_up],
        _model("research", live),
        name="research",
        description="Looks facts of number theory up and says where they are from.",
        max_steps=6,
    )
    return CodeAgent([], _model("manager", live), name="manager", managed_agents=[maths, research], **options)


def _model(name: str, live: str) -> Model:
    if live:
        return LiteLLMModel(live)
    return ReplayModel(Path(str(resources.files("cloche.cli.demo").joinpath("recordings", f"{name}.jsonl"))))


# The agents of the page: new ones for each run, with recorded models that write at the pace of a model.

_PACE = 0.02
_SALES = {
    "Assam": (60, 75, 92, 118),
    "Darjeeling": (80, 78, 83, 81),
    "Sencha": (40, 48, 47, 55),
    "Mint": (22, 19, 14, 11),
}


@tool(blocking=False)
def sales() -> list[dict[str, Any]]:
    """Return the cases of tea that were sold: a row with tea, month and cases for each tea and month."""
    months = ("2026-08", "2026-09", "2026-10", "2026-11")
    return [
        {"tea": tea, "month": month, "cases": cases}
        for tea, sold in _SALES.items()
        for month, cases in zip(months, sold, strict=True)
    ]


@tool(approval=True)
def order(tea: str, cases: int) -> str:
    """Order cases of a tea from the wholesaler.

    Args:
        tea: The tea's name.
        cases: How many cases, 35 dollars each.
    """
    return f"Ordered {cases} cases of {tea} for ${35 * cases:,}."


class _PacedModel(ScriptedModel):
    """Says the recorded replies in order, two words at a time; a new task begins where the one before has ended."""

    def __init__(self, name: str) -> None:
        text = resources.files("cloche.cli.demo").joinpath("recordings", f"{name}.md").read_text(encoding="utf-8")
        replies = [reply.strip() for reply in text.split("\n%%\n")]

        def answer(request: ModelRequest) -> str:
            said = sum(message.role == "assistant" for message in request.messages)
            return replies[min(said, len(replies) - 1)]

        super().__init__(answer, cost=0.0004)

    async def astream(self, request: ModelRequest, /) -> AsyncIterator[Piece]:
        """Yield the text by and by, and then the reply."""
        reply = self.generate(request)
        for piece in re.findall(r"\s*\S+\s+\S+\s*", reply.message.text + " "):
            yield Delta(piece)
            await asyncio.sleep(_PACE)
        yield reply


def analyst() -> CodeAgent:
    """Return the agent that looks at sales, draws them, and orders with a person's approval."""
    return CodeAgent([sales, order], _PacedModel("analyst"), name="analyst", description="Knows the tea shop's sales.")


def seeker() -> CodeAgent:
    """Return the agent whose program computes until it is stopped."""
    return CodeAgent([], _PacedModel("seeker"), name="seeker", description="Looks for an odd perfect number.")


def specialists() -> CodeAgent:
    """Return the team, with its recorded models."""
    return team("", description="Asks a mathematician and a librarian, both agents.")
