"""A manager with two specialists: one for numbers, one for looking things up.

Each specialist is an async function in the manager's program, so the manager has both work at the same time. Offline
the models are recordings of a run; with CLOCHE_MODEL they are live.
"""

import os
from pathlib import Path
from typing import Any

from tools.maths import factorial, prime_checker

from cloche import tool
from cloche.agent import CodeAgent, LiteLLMModel, Model, ReplayModel

RECORDINGS = Path(__file__).parent / "recordings"
LIBRARY = {
    "Wilson": "Wilson's theorem: a number n > 1 is prime exactly if (n - 1)! + 1 is divisible by n.",
    "Brocard": "Brocard's problem: for which n is n! + 1 a square? Known are n = 4, 5 and 7 only.",
}
TASK = "Which of the numbers n! + 1 with n up to 7 are prime, which are squares, and what is known about the squares?"


@tool(blocking=False)
def look_up(topic: str) -> str:
    """Look a topic of number theory up in the library.

    Args:
        topic: A name or a keyword.
    """
    words = topic.lower().split()
    found = [text for name, text in LIBRARY.items() if name.lower() in words or any(word in text for word in words)]
    return "\n".join(found) or "nothing found"


def model(name: str) -> Model:
    """Return the live model, or the recording of this agent's answers."""
    live = os.environ.get("CLOCHE_MODEL")
    return LiteLLMModel(live) if live else ReplayModel(RECORDINGS / f"{name}.jsonl")


def team(**options: Any) -> CodeAgent:
    """Return the manager; ``options`` are its own."""
    maths = CodeAgent(
        [factorial, prime_checker],
        model("maths"),
        name="maths",
        description="Works with numbers. Has factorial and prime_checker.",
        max_steps=6,
    )
    research = CodeAgent(
        [look_up],
        model("research"),
        name="research",
        description="Looks facts of number theory up and says where they are from.",
        max_steps=6,
    )
    return CodeAgent([], model("manager"), name="manager", managed_agents=[maths, research], **options)


def main() -> None:
    """Run the team and print what it found, and what each of them did."""
    with team() as manager:
        result = manager.run(TASK, return_full_result=True)
        print(result.unwrap())
        for agent in (manager, *manager.managed_agents.values()):
            print(f"{agent.name}: {len(agent.memory.actions)} steps, {agent.memory.usage.total:,} tokens")


if __name__ == "__main__":
    main()
