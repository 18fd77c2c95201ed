"""The agent that needs no key: two tools, and a model that says what a good one would."""

from collections.abc import Mapping

from cloche.agent import ScriptedModel, ToolRequest
from cloche.cli.demo.tools import factorial, prime_checker
from cloche.host_tools import ToolLike

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
