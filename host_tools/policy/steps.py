"""The steps of one guarded call, in order: check, judge, count, ask, record, run, mask, record.

They are written once, as a coroutine: awaited on an event loop, or on the caller's thread, where nothing in it ever
suspends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from cloche.host_tools.errors import ToolRejected
from cloche.host_tools.policy.account import Account
from cloche.host_tools.policy.cache import ResultCache
from cloche.host_tools.policy.policy import (
    Approval,
    Approver,
    PlannedCall,
    Policy,
    Retry,
    Scope,
    ToolDenied,
    ToolTimedOut,
)
from cloche.host_tools.registry import Informed
from cloche.host_tools.tools import Tool
from cloche.runtime.bridge.pending import CallDenied
from cloche.runtime.dispatch import AnsweredCall
from cloche.runtime.threads import Expired, acall_on_thread, call_on_thread, expiring

__all__ = [
    "AwaitedExecution",
    "CallExecution",
    "GuardedCall",
    "InlineExecution",
    "ThreadExecution",
    "accepted",
    "ask",
    "call_guarded",
    "check_guarded",
    "count",
    "finish_inline",
    "judge",
    "masked",
    "outcome_of",
]


T = TypeVar("T")

_MAX_REASON = 500


class CallExecution(Protocol):
    """How to call and how to wait."""

    async def call(self, perform: Callable[[], Any], timeout: float | None) -> Any:
        """Return what the tool returns. Raises Expired when ``timeout`` seconds are over."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class InlineExecution:
    """For plain tools whose approvers are plain too."""

    async def call(self, perform: Callable[[], Any], timeout: float | None) -> Any:
        """Call on this thread, or with a timeout on another, which is left behind if it does not come back."""
        return perform() if timeout is None else call_on_thread(perform, timeout)

    async def sleep(self, seconds: float) -> None:
        """Hold the thread up."""
        sleep(seconds)


class AwaitedExecution:
    """For coroutine tools."""

    async def call(self, perform: Callable[[], Any], timeout: float | None) -> Any:
        """Await the tool on this loop, and cancel it when the time is over."""
        async with expiring(timeout):
            return await perform()

    async def sleep(self, seconds: float) -> None:
        """Let others run."""
        await asyncio.sleep(seconds)


class ThreadExecution(AwaitedExecution):
    """For plain tools with an asynchronous approver."""

    async def call(self, perform: Callable[[], Any], timeout: float | None) -> Any:
        """Call on another thread, which is left behind if it does not come back in time."""
        return await acall_on_thread(perform, timeout)


def finish_inline(steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends to its end."""
    try:
        steps.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    steps.close()
    raise RuntimeError("a plain approver returned something to await: make it a coroutine function")


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
        reason = verdict[:_MAX_REASON] if isinstance(verdict, str) else "the policy forbids it"
        raise ToolDenied(call.tool, where + reason)


def _argument(call: PlannedCall, name: str) -> Any:
    arguments: Mapping[str, Any] = call.arguments
    if name not in arguments:
        # Left out of **kwargs, or misspelt in the policy: neither was looked at, so neither is allowed.
        raise ToolDenied(call.tool, f"argument {name!r} has to be given: a policy depends on it")
    return arguments[name]


async def ask(approver: Approver, call: PlannedCall) -> Approval:
    """Return the approver's decision; one that fails to decide has refused, with its exception as the cause."""
    try:
        answer = approver(call)
        if isinstance(answer, Awaitable):
            answer = await answer
    except Exception as error:
        raise ToolDenied(call.tool, "the approver failed") from error
    return _decision(answer)


def _decision(answer: Any) -> Approval:
    # Nothing but a plain yes is a yes: not a non-empty string, nor an object that happens to be true.
    if isinstance(answer, Approval):
        return answer if answer.allowed is True else Approval(False, answer.by, answer.reason)
    return Approval(answer is True, "", answer if isinstance(answer, str) else "")


class GuardedCall(NamedTuple):
    """A tool under the name it was called by, with the policies that hold for this call.

    ``waited`` is the call as it was sent, if it waited for approval and was approved. ``cache`` has what tools
    returned.
    """

    name: str
    tool: Tool
    policies: Sequence[Policy]
    scope: Scope
    waited: AnsweredCall | None = None
    cache: ResultCache | None = None


async def call_guarded(
    guarded: GuardedCall, args: list[Any], kwargs: dict[str, Any], way: CallExecution, account: Account
) -> Any:
    """Make the call if every policy allows it and return what the guest gets. The account is closed in any case.

    Raises ToolRejected, ToolDenied, ToolTimedOut, what the tool raises, or what the log raises.
    """
    try:
        args, kwargs = accepted(guarded, args, kwargs, account)
        await _allow(guarded, account)
        account.begin()
        value = masked(guarded, await _returned(guarded, args, kwargs, way, account))
    except BaseException as error:
        account.end(outcome_of(error), error=error)
        raise
    account.end("returned", value)
    return value


def check_guarded(guarded: GuardedCall, args: list[Any], kwargs: dict[str, Any], account: Account) -> None:
    """Raise what :func:`call_guarded` would raise before it asks an approver. Only refusals are recorded, none counted.

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
    guarded: GuardedCall, args: list[Any], kwargs: dict[str, Any], account: Account
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments as the tool takes them, and have them on the account. Raises ToolRejected."""
    account.redact = frozenset(name for policy in guarded.policies for name in policy.redact)
    account.arguments = {"args": args, "kwargs": kwargs} if not account.redact else {}
    args, kwargs = guarded.tool.accept(args, kwargs, guarded.name)
    account.arguments = guarded.tool.named(args, kwargs)
    return args, kwargs


def _judged(guarded: GuardedCall, account: Account) -> PlannedCall:
    scope = guarded.scope
    call = PlannedCall(guarded.name, MappingProxyType(dict(account.arguments)), scope.agent, scope.step, scope.run)
    for policy in guarded.policies:
        judge(call, policy)
    return call


async def _allow(guarded: GuardedCall, account: Account) -> None:
    call = _judged(guarded, account)
    # Counted before the approver is asked, so that a loop cannot wear an approver out.
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


def _max_calls(guarded: GuardedCall) -> int | None:
    return min((policy.calls for policy in guarded.policies if policy.calls is not None), default=None)


def _left_to_make(guarded: GuardedCall) -> None:
    limit = _max_calls(guarded)
    if limit is not None and guarded.scope.counts.made(guarded.name) >= limit:
        raise _too_many(guarded, limit)


def _too_many(guarded: GuardedCall, limit: int | None) -> ToolDenied:
    return ToolDenied(guarded.name, f"one run may call it {limit} time{'s' * (limit != 1)}, and did")


def count(guarded: GuardedCall) -> None:
    """Count one more call of the run. Raises ToolDenied if there were as many as one may make."""
    limit = _max_calls(guarded)
    if not guarded.scope.counts.take(guarded.name, limit):
        raise _too_many(guarded, limit)


def _meter(guarded: GuardedCall) -> None:
    for meter in filter(None, (policy.rate for policy in guarded.policies)):
        wait = meter.take()
        if wait > 0:
            rate = f"{meter.calls} calls in {meter.seconds:g} s"
            raise ToolDenied(guarded.name, f"at most {rate} are allowed; try again in {wait:.3g} s")


async def _returned(
    guarded: GuardedCall, args: list[Any], kwargs: dict[str, Any], way: CallExecution, account: Account
) -> Any:
    """Return what the tool returned for these arguments a while ago, if a policy says so, or what it returns now."""
    seconds = min((policy.cache for policy in guarded.policies if policy.cache is not None), default=None)
    cache = guarded.cache
    if seconds is None or cache is None or guarded.waited is not None:
        return await _run(guarded, args, kwargs, way, account)
    key = cache.key(guarded.name, guarded.tool, guarded.tool.named(args, kwargs))
    kept = None if key is None else cache.get(key, seconds)
    if kept is not None:
        return kept.value
    value = await _run(guarded, args, kwargs, way, account)
    if key is not None:
        cache.keep(key, guarded.tool, value)
    return value


async def _run(
    guarded: GuardedCall, args: list[Any], kwargs: dict[str, Any], way: CallExecution, account: Account
) -> Any:
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


async def _attempts(perform: Callable[[], Any], way: CallExecution, retry: Retry | None, until: float | None) -> Any:
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


def masked(guarded: GuardedCall, value: Any) -> Any:
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
