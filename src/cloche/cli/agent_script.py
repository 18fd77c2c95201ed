"""The agent that needs no key: two tools, and a model that says what a good one would."""

from collections.abc import Mapping

from cloche.agent import ScriptedModel, ToolRequest
from cloche.host_tools import ToolLike, tool

__all__ = ["scripted_model", "scripted_task", "scripted_tools"]

_TASK = "Which factorials, one added, are prime, from 1! to 8!?"
_PROGRAMS = (
    "I try them one after the other and look at what comes out.\n<code>\n"
    "found = [n for n in range(1, 9) if prime_checker(factorial(n) + 1)]\nprint(found)\n</code>",
    "Nothing is missing, so this is the answer.\n<code>\n"
    "final_answer(', '.join(f'{n}! + 1 = {factorial(n) + 1}' for n in found))\n</code>",
)


def scripted_task() -> str:
    """Return the task that the script is about."""
    return _TASK


def scripted_tools() -> Mapping[str, ToolLike]:
    """Return the tools that the script uses."""
    return {"prime_checker": prime_checker, "factorial": factorial}


def scripted_model(*, calls_tools: bool = False) -> ScriptedModel:
    """Return the model; the tools that are called by schema are not looked at before the answer."""
    if not calls_tools:
        return ScriptedModel(_PROGRAMS)
    numbers = [ToolRequest(id=f"f{n}", name="factorial", arguments={"n": n}) for n in range(1, 9)]
    primes = [ToolRequest(id=f"p{n}", name="prime_checker", arguments={"n": n}) for n in (2, 3, 7, 25, 121, 721)]
    answer = ToolRequest(id="a", name="final_answer", arguments={"answer": "1! + 1 = 2, 2! + 1 = 3, 3! + 1 = 7"})
    return ScriptedModel([numbers, primes, answer])


@tool(blocking=False)
def prime_checker(n: int) -> bool:
    """Say whether a number is prime.

    Args:
        n: The number.
    """
    return n > 1 and all(n % divisor for divisor in range(2, int(n**0.5) + 1))


@tool(blocking=False)
def factorial(n: int) -> int:
    """Return n!.

    Args:
        n: A whole number from 0 to 1,000.
    """
    if not 0 <= n <= 1_000:
        raise ValueError(f"{n} is not from 0 to 1,000")
    return 1 if n < 2 else n * factorial(n - 1)
