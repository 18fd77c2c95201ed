"""The tools of an agent at the keyboard: those of flags and of MCP servers, and asking before they are called.

And the agent that needs no key: two tools, and a model that says what a good one would.
"""

import argparse
import shlex
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from cloche.agent import AgentSuspended, MultiStepAgent, RunResult, ScriptedModel, ToolRequest
from cloche.cli.demo.tools import factorial, prime_checker
from cloche.cli.exit_codes import CommandError
from cloche.cli.flags import load_tools
from cloche.host_tools import ToolLike
from cloche.host_tools.external import ToolCollection
from cloche.host_tools.policy import Approval, GuardedTools, PlannedCall, Policy
from cloche.runtime._terminal import one_line

__all__ = ["agent_tools", "answer_calls", "scripted_model", "scripted_task", "with_approval"]

_MAX_CALL = 500
_REFUSED = "the user said no"


@contextmanager
def agent_tools(arguments: argparse.Namespace) -> Generator[dict[str, ToolLike], None, None]:
    """Give the tools of the flags by name; connections to MCP servers end with the block. Raises CommandError."""
    with ExitStack() as servers:
        tools: dict[str, ToolLike] = dict(_scripted_tools()) if arguments.scripted else {}
        tools |= load_tools(arguments.tool)
        for server in arguments.mcp:
            tools |= servers.enter_context(_connection(server))
        yield tools


def with_approval(tools: dict[str, ToolLike], names: list[str]) -> Any:
    """Return the tools; before each call of one with these names the user is asked. Raises CommandError for no tool."""
    unknown = [name for name in names if name not in tools]
    if unknown:
        raise CommandError(f"--approve {unknown[0]}: there is no such tool; there are {', '.join(tools) or 'none'}")
    policy = Policy(approve=_asked)
    return GuardedTools(tools, dict.fromkeys(names, policy)) if names else tools


def answer_calls(agent: MultiStepAgent, result: RunResult) -> RunResult:
    """Ask about the calls that the agent's program waits for, and resume it until it has ended."""
    while isinstance(result.error, AgentSuspended):
        approve: list[int] = []
        deny: dict[int, str] = {}
        for call in result.error.calls:
            if _user_allows(call.name, call.args, call.kwargs):
                approve.append(call.id)
            else:
                deny[call.id] = _REFUSED
        result = agent.resume(approve=approve, deny=deny, return_full_result=True)
    return result


def _asked(call: PlannedCall) -> Approval:
    return Approval(_user_allows(call.tool, (), call.arguments), by="user", reason=_REFUSED)


def _user_allows(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    shown = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
    try:
        # Arguments may hold any text, escape sequences included.
        call = one_line(f"{name}({', '.join(shown)})", _MAX_CALL)
        answer = input(f"allow {call}? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


@contextmanager
def _connection(server: str) -> Generator[ToolCollection, None, None]:
    with ExitStack() as stack:
        try:
            found = stack.enter_context(ToolCollection.from_mcp(_place(server)))
        except (ConnectionError, OSError) as error:
            raise CommandError(f"--mcp {server}: {error}") from error
        yield found


def _place(server: str) -> Any:
    if server.startswith(("http://", "https://")):
        return server
    command, *arguments = shlex.split(server) or [""]
    return {"command": command, "args": arguments}


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


def _scripted_tools() -> Mapping[str, ToolLike]:
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
