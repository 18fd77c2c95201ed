"""The team: who is in it, what it is asked, and where its models are."""

import importlib.util
import os
from importlib import resources
from pathlib import Path
from typing import Any

from cloche.agent import CodeAgent, LiteLLMModel, Model, ReplayModel
from cloche.cli.demo.tools import factorial, prime_checker
from cloche.cli.flags import model_of_environment
from cloche.host_tools import tool

__all__ = ["TASK", "live_model", "team"]

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
