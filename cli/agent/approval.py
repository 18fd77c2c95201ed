"""Asking at the keyboard before a tool is called."""

from collections.abc import Mapping
from typing import Any

from cloche.agent import AgentSuspended, MultiStepAgent, RunResult
from cloche.cli.exit_codes import CommandError
from cloche.cli.harmless import one_line
from cloche.host_tools import ToolLike
from cloche.host_tools.policy import Approval, GuardedTools, PlannedCall, Policy

__all__ = ["decided", "with_approval"]


_LONGEST = 500


def with_approval(tools: dict[str, ToolLike], names: list[str]) -> Any:
    """Return the tools, with those of these names asked about before each call. Raises Complaint for another name."""
    unknown = [name for name in names if name not in tools]
    if unknown:
        raise CommandError(f"--approve {unknown[0]}: there is no such tool; there are {', '.join(tools) or 'none'}")
    policy = Policy(approve=_asked)
    return GuardedTools(tools, dict.fromkeys(names, policy)) if names else tools


def decided(agent: MultiStepAgent, result: RunResult) -> RunResult:
    """Ask about the calls that the agent's program waits for, and go on until it has ended."""
    while isinstance(result.error, AgentSuspended):
        approve: list[int] = []
        deny: dict[int, str] = {}
        for call in result.error.calls:
            shown = [*map(repr, call.args), *(f"{name}={value!r}" for name, value in call.kwargs.items())]
            if _yes(f"{call.name}({', '.join(shown)})"):
                approve.append(call.id)
            else:
                deny[call.id] = "the user said no"
        result = agent.resume(approve=approve, deny=deny, return_full_result=True)
    return result


def _asked(call: PlannedCall) -> Approval:
    return Approval(_yes(f"{call.tool}({_listed(call.arguments)})"), by="user", reason="the user said no")


def _listed(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _yes(call: str) -> bool:
    try:
        # What a program asks for may hold anything, escape sequences included.
        answer = input(f"allow {one_line(call, _LONGEST)}? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")
