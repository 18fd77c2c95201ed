"""smolagents' CodeAgent with its code on a Cloche server: tools and model here, programs there.

    cloche serve --demo     # prints an address and keys
    python examples/serve/smolagents_executor.py http://127.0.0.1:8700 ck_...

Without a model at hand, this one says a program that was written before.
"""

# smolagents has no types to check against.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportIncompatibleMethodOverride=false, reportArgumentType=false, reportAttributeAccessIssue=false

import sys
from typing import Any

from smolagents import CodeAgent, Model, tool
from smolagents.models import ChatMessage, MessageRole

from cloche import Client
from cloche.integrations.smolagents import ClocheExecutor

PROGRAM = "final_answer(sum(stock(item) for item in ['tea', 'milk']))"


@tool  # type: ignore[untyped-decorator, unused-ignore]
def stock(item: str) -> int:
    """Return how many there are.

    Args:
        item: What to look for.
    """
    return {"tea": 3, "milk": 2}[item]


class Prepared(Model):  # type: ignore[misc, unused-ignore]
    """Says one program, whatever it is asked."""

    def generate(self, messages: Any, **options: Any) -> Any:
        """Return the program as a reply."""
        return ChatMessage(role=MessageRole.ASSISTANT, content=f"Thought.\n<code>\n{PROGRAM}\n</code>")


def main(url: str, key: str) -> None:
    """Have the agent count the stock, on the server."""
    with Client(url, key) as client:
        agent = CodeAgent([stock], Prepared(), executor=ClocheExecutor(client=client), verbosity_level=0)
        print("in stock:", agent.run("How many teas and milks are there?"))
        agent.python_executor.cleanup()


if __name__ == "__main__":
    main(*sys.argv[1:])
