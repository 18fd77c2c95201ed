"""Calls that are answered by somebody and not made: counted, masked and recorded like those that are."""

import asyncio
from contextlib import suppress
from typing import Any

from cloche.host_tools.policy.account import Account
from cloche.host_tools.policy.steps import Guarded, accepted, count, masked, outcome_of
from cloche.host_tools.policy.wrapping import unwrapped
from cloche.host_tools.waiting import answered
from cloche.runtime.dispatch import Waited
from cloche.runtime.suspension.answers import CallDenied

__all__ = ["answer_guarded"]


def answer_guarded(guarded: Guarded, call: Waited, value: Any, error: BaseException | None, account: Account) -> Any:
    """Return what the guest gets for an answer, or raise the error. The account is closed in any case.

    The policies judged the call before anybody was asked, and do not judge it again. Raises ToolDenied for one that
    is too many or cannot be masked, or what the log raises.
    """
    try:
        _describe(guarded, call, account)
        if not isinstance(error, asyncio.CancelledError):
            count(guarded)
        value = masked(guarded, answered(guarded.tool, call, value, error))
    except BaseException as raised:
        account.approval = "no" if isinstance(raised, CallDenied) else ""
        account.end(outcome_of(raised), error=raised)
        raise
    account.end("returned", value)
    return value


def _describe(guarded: Guarded, call: Waited, account: Account) -> None:
    # A tool that takes other arguments by now is not called: what was sent is recorded then.
    with suppress(Exception):
        accepted(guarded._replace(tool=unwrapped(guarded.tool)), call.args, call.kwargs, account)
