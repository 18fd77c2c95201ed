"""Whether a call may happen, as far as no one has to be asked."""

from collections.abc import Mapping
from typing import Any

from cloche.host_tools.policy.denial import ToolDenied
from cloche.host_tools.policy.planned import PlannedCall
from cloche.host_tools.policy.rules import Policy

__all__ = ["judge"]

_LONGEST_REASON = 500


def judge(call: PlannedCall, policy: Policy) -> None:
    """Raise ToolDenied unless every constraint allows the call."""
    for name, constraint in policy.arguments.items():
        _require(call, f"argument {name!r}: ", constraint, _argument(call, name))
    if policy.check is not None:
        _require(call, "", policy.check, call)


def _require(call: PlannedCall, where: str, rule: Any, subject: Any) -> None:
    try:
        verdict = rule(subject)
    except Exception as error:
        # A rule that fails has not allowed anything, and what it says may be the host's own affairs.
        raise ToolDenied(call.tool, f"{where}the policy could not decide") from error
    if verdict is not True:
        reason = verdict[:_LONGEST_REASON] if isinstance(verdict, str) else "the policy forbids it"
        raise ToolDenied(call.tool, where + reason)


def _argument(call: PlannedCall, name: str) -> Any:
    arguments: Mapping[str, Any] = call.arguments
    if name not in arguments:
        # Left out of **kwargs, or misspelt in the policy: neither was looked at, so neither is allowed.
        raise ToolDenied(call.tool, f"argument {name!r} has to be given: a policy depends on it")
    return arguments[name]
