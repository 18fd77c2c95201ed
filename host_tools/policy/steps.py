"""The steps of one guarded call, in order: check, judge, count, ask, record, run, mask, record."""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple

from cloche.host_tools.base import Tool
from cloche.host_tools.errors import ToolRejected
from cloche.host_tools.policy.account import Account
from cloche.host_tools.policy.asking import ask
from cloche.host_tools.policy.denial import ToolDenied, ToolTimedOut
from cloche.host_tools.policy.judging import judge
from cloche.host_tools.policy.planned import PlannedCall
from cloche.host_tools.policy.rules import Policy, Retry
from cloche.host_tools.policy.scope import Scope
from cloche.host_tools.policy.ways import Expired, Way
from cloche.host_tools.waiting import Informed
from cloche.runtime.dispatch import Waited
from cloche.runtime.suspension.answers import CallDenied

__all__ = ["Guarded", "accepted", "call_guarded", "check_guarded", "count", "masked", "outcome_of"]


class Guarded(NamedTuple):
    """A tool under the name it was called by, with the policies that hold for this call.

    ``waited`` is the call as it was sent, if it waited for somebody who approved it.
    """

    name: str
    tool: Tool
    policies: Sequence[Policy]
    scope: Scope
    waited: Waited | None = None


async def call_guarded(guarded: Guarded, args: list[Any], kwargs: dict[str, Any], way: Way, account: Account) -> Any:
    """Make the call if every policy allows it and return what the guest gets. The account is closed in any case.

    Raises ToolRejected, ToolDenied, ToolTimedOut, what the tool raises, or what the log raises.
    """
    try:
        args, kwargs = accepted(guarded, args, kwargs, account)
        await _allow(guarded, account)
        account.begin()
        value = masked(guarded, await _run(guarded, args, kwargs, way, account))
    except BaseException as error:
        account.end(outcome_of(error), error=error)
        raise
    account.end("returned", value)
    return value


def check_guarded(guarded: Guarded, args: list[Any], kwargs: dict[str, Any], account: Account) -> None:
    """Raise what :func:`call_guarded` would raise before anybody is asked. Only that is recorded, and nothing counted.

    Raises ToolRejected, ToolDenied, or what the log raises.
    """
    try:
        accepted(guarded, args, kwargs, account)
        _judged(guarded, account)
        _left_to_make(guarded)
    except BaseException as error:
        account.end(outcome_of(error), error=error)
        raise


def accepted(
    guarded: Guarded, args: list[Any], kwargs: dict[str, Any], account: Account
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments as the tool takes them, and have them on the account. Raises ToolRejected."""
    account.redact = frozenset(name for policy in guarded.policies for name in policy.redact)
    account.arguments = {"args": args, "kwargs": kwargs} if not account.redact else {}
    args, kwargs = guarded.tool.accept(args, kwargs, guarded.name)
    account.arguments = guarded.tool.named(args, kwargs)
    return args, kwargs


def _judged(guarded: Guarded, account: Account) -> PlannedCall:
    scope = guarded.scope
    call = PlannedCall(guarded.name, MappingProxyType(dict(account.arguments)), scope.agent, scope.step, scope.run)
    for policy in guarded.policies:
        judge(call, policy)
    return call


async def _allow(guarded: Guarded, account: Account) -> None:
    call = _judged(guarded, account)
    # Counted before anybody is asked, so that a loop cannot wear an approver out.
    count(guarded)
    _meter(guarded)
    for policy in guarded.policies:
        if policy.approve is not None:
            approval = await ask(policy.approve, call)
            account.approval = _noted(account.approval, approval.by or ("yes" if approval.allowed else "no"))
            if not approval.allowed:
                raise ToolDenied(guarded.name, approval.reason or "it was not approved")


def _noted(before: str, by: str) -> str:
    return f"{before}, {by}" if before else by


def _most(guarded: Guarded) -> int | None:
    return min((policy.calls for policy in guarded.policies if policy.calls is not None), default=None)


def _left_to_make(guarded: Guarded) -> None:
    most = _most(guarded)
    if most is not None and guarded.scope.counts.made(guarded.name) >= most:
        raise _too_many(guarded, most)


def _too_many(guarded: Guarded, most: int | None) -> ToolDenied:
    return ToolDenied(guarded.name, f"one run may call it {most} time{'s' * (most != 1)}, and did")


def count(guarded: Guarded) -> None:
    """Count one more call of the run. Raises ToolDenied if there were as many as one may make."""
    most = _most(guarded)
    if not guarded.scope.counts.take(guarded.name, most):
        raise _too_many(guarded, most)


def _meter(guarded: Guarded) -> None:
    for meter in filter(None, (policy.rate for policy in guarded.policies)):
        wait = meter.take()
        if wait > 0:
            rate = f"{meter.calls} calls in {meter.seconds:g} s"
            raise ToolDenied(guarded.name, f"at most {rate} are allowed; try again in {wait:.3g} s")


async def _run(guarded: Guarded, args: list[Any], kwargs: dict[str, Any], way: Way, account: Account) -> Any:
    def perform() -> Any:
        account.attempts += 1
        if guarded.waited is not None and isinstance(guarded.tool, Informed):
            return guarded.tool.invoke_approved(guarded.waited._replace(args=args, kwargs=kwargs))
        return guarded.tool.perform(args, kwargs)

    seconds = min((policy.timeout for policy in guarded.policies if policy.timeout is not None), default=None)
    retry = next((policy.retry for policy in guarded.policies if policy.retry is not None), None)
    try:
        return await _attempts(perform, way, retry, None if seconds is None else monotonic() + seconds)
    except Expired:
        raise ToolTimedOut(guarded.name, seconds or 0.0) from None


async def _attempts(perform: Callable[[], Any], way: Way, retry: Retry | None, until: float | None) -> Any:
    for pause in retry.pauses if retry is not None else ():
        try:
            return await way.call(perform, _left(until))
        except Exception as error:
            if retry is None or not isinstance(error, retry.on):
                raise
        # A pause that leaves no time for another attempt is not waited for.
        _left(until, pause)
        await way.sleep(pause)
    return await way.call(perform, _left(until))


def _left(until: float | None, pause: float = 0.0) -> float | None:
    left = None if until is None else until - monotonic() - pause
    if left is not None and left <= 0:
        raise Expired
    return left


def masked(guarded: Guarded, value: Any) -> Any:
    """Return what the guest gets for a value. Raises ToolDenied."""
    for policy in guarded.policies:
        if policy.mask is not None:
            try:
                value = policy.mask(value)
            except Exception as error:
                # What could not be masked must not pass.
                raise ToolDenied(guarded.name, "its result could not be masked") from error
    return value


def outcome_of(error: BaseException) -> Any:
    """Return the record's word for an exception."""
    if isinstance(error, ToolRejected):
        return "rejected"
    if isinstance(error, ToolDenied | CallDenied):
        return "denied"
    if isinstance(error, ToolTimedOut):
        return "timed out"
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "raised"
