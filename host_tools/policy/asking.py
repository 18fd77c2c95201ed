"""Asking somebody's leave."""

from collections.abc import Awaitable
from typing import Any

from cloche.host_tools.policy.denial import ToolDenied
from cloche.host_tools.policy.planned import PlannedCall
from cloche.host_tools.policy.rules import Approval, Approver

__all__ = ["ask"]


async def ask(approver: Approver, call: PlannedCall) -> Approval:
    """Return the approver's decision; one that fails to decide has refused, with its exception as the cause."""
    try:
        answer = approver(call)
        if isinstance(answer, Awaitable):
            answer = await answer
    except Exception as error:
        raise ToolDenied(call.tool, "nobody could be asked for approval") from error
    return _decision(answer)


def _decision(answer: Any) -> Approval:
    # Nothing but a plain yes is a yes: not a non-empty string, nor an object that happens to be true.
    if isinstance(answer, Approval):
        return answer if answer.allowed is True else Approval(False, answer.by, answer.reason)
    return Approval(answer is True, "", answer if isinstance(answer, str) else "")
