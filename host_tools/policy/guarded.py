"""Tools under policies, as a sandbox takes them: every call is made, answered or refused by the steps of ``steps``."""

import asyncio
import difflib
import inspect
import itertools
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from cloche.host_tools.call_log import CallLog
from cloche.host_tools.policy.account import Account
from cloche.host_tools.policy.cache import ResultCache
from cloche.host_tools.policy.policy import Policy, Scope, current_scope
from cloche.host_tools.policy.steps import (
    AwaitedExecution,
    CallExecution,
    GuardedCall,
    InlineExecution,
    ThreadExecution,
    accepted,
    call_guarded,
    check_guarded,
    count,
    finish_inline,
    masked,
    outcome_of,
)
from cloche.host_tools.registry import ToolRegistry, answered, made_as, registry_of
from cloche.host_tools.tools import FunctionTool, Tool
from cloche.runtime.bridge.pending import CallDenied
from cloche.runtime.dispatch import AnsweredCall, ToolSpec, UnknownTool
from cloche.runtime.errors import ConfigurationError

__all__ = ["Guard", "GuardedTools", "WrappedTool", "answer_guarded", "unwrapped"]


class Guard(Protocol):
    """What every call of a wrapped tool goes through; the methods are those of a dispatcher."""

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Make a call, checked or not."""
        ...

    def check(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Raise what ``call`` would for a call that is not made yet."""
        ...

    def approved(self, call: AnsweredCall) -> Any:
        """Make a call that waited and was approved."""
        ...

    def answered(self, call: AnsweredCall, value: Any, error: BaseException | None) -> Any:
        """Return or raise what a call gives that was answered."""
        ...


class WrappedTool(Tool):
    """Looks like ``inner``, and each call of it goes through ``guard``."""

    def __init__(self, inner: Tool, name: str, guard: Guard) -> None:
        self.inner = inner
        self.name = name
        self.description = inner.description
        self.is_async = inner.is_async
        # Without these, a registry would make calls at once that have to wait for approval.
        self.suspend, self.approval = inner.suspend, inner.approval
        # A policy may wait for an approver, whatever the tool itself does.
        self.blocking = not inner.is_async
        self._tool_signature = inner._tool_signature  # pyright: ignore[reportPrivateUsage]
        self._tool_arguments = inner._tool_arguments  # pyright: ignore[reportPrivateUsage]
        self._tool_docstring = inner._tool_docstring  # pyright: ignore[reportPrivateUsage]
        self._tool_lead = inner._tool_lead  # pyright: ignore[reportPrivateUsage]
        self._tool_documentation = inner._tool_documentation  # pyright: ignore[reportPrivateUsage]
        self.guard = guard

    def accept(self, args: list[Any], kwargs: dict[str, Any], called: str = "") -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments if tool and policies take them; the policies see them again when the call is made."""
        self.guard.check(self.name, args, kwargs)
        return super().accept(args, kwargs, called)

    def invoke(self, args: list[Any], kwargs: dict[str, Any], called: str = "") -> Any:
        """Make the call if the policies allow it. Policies and records know the tool by its own name."""
        return self.guard.call(self.name, args, kwargs)

    def perform(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Make the call if the policies allow it."""
        return self.guard.call(self.name, args, kwargs)

    def forward(self, /, *args: Any, **kwargs: Any) -> Any:
        """Make the call if the policies allow it."""
        return self.guard.call(self.name, list(args), kwargs)

    def invoke_approved(self, call: AnsweredCall) -> Any:
        """Make a call that was approved, if the policies allow it."""
        return self.guard.approved(call._replace(name=self.name))

    def accept_answer(self, call: AnsweredCall, value: Any, error: BaseException | None) -> Any:
        """Return or raise what the policies let through of an answer."""
        return self.guard.answered(call._replace(name=self.name), value, error)


def unwrapped(tool: Tool) -> Tool:
    """Return the tool itself, without what guards it."""
    while isinstance(tool, WrappedTool):
        tool = tool.inner
    return tool


def answer_guarded(
    guarded: GuardedCall, call: AnsweredCall, value: Any, error: BaseException | None, account: Account
) -> Any:
    """Return what the guest gets for an answer, or raise the error. The account is closed in any case.

    The policies judged the call when the program made it, and do not judge it again. Raises ToolDenied for one that
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


def _describe(guarded: GuardedCall, call: AnsweredCall, account: Account) -> None:
    # A tool that takes other arguments by now is not called: what was sent is recorded then.
    with suppress(Exception):
        accepted(guarded._replace(tool=unwrapped(guarded.tool)), call.args, call.kwargs, account)


class GuardedTools:
    """Tools, the policies that hold for their calls, and the log that every call is written to.

    ``tools``     a ToolRegistry, or what makes one; it may change at run time.
    ``policies``  by the name that programs call the tool by.
    ``default``   holds for each tool without a policy of its own.
    ``log``       where the records go; default none.
    ``additions`` the policy for tools that are added to an agent of these tools, or replaced in it: its ``check`` and
                  ``approve`` get a PlannedCall of ``add_tool`` with ``name``, ``description``, ``replaces`` and
                  ``tool``. Default: they may be added. They are recorded in any case, and each is then called under
                  the policy of its name, or the default one.

    Calls are counted per run: what happens in one :meth:`scope`. Outside of any, everything is one run. It is a
    :class:`cloche.runtime.dispatch.Dispatcher`, ``Suspending`` and ``Answering``, and safe to use from several threads
    and sandboxes at once.

    The policies judge a call that waits for approval twice: when the program makes it, before anyone is asked, and in
    full when it is approved. A call that is answered with a value or an error is not made and not judged again; it is
    counted, its value is masked, and it is recorded, as are those that are denied or given up.

    Raises ConfigurationError for a policy whose tool does not exist.
    """

    def __init__(
        self,
        tools: Any,
        policies: Mapping[str, Policy] | None = None,
        *,
        default: Policy | None = None,
        log: CallLog | None = None,
        additions: Policy | None = None,
    ) -> None:
        self.tools: ToolRegistry = tools if isinstance(tools, ToolRegistry) else registry_of(tools)
        self._policies = dict(policies or {})
        self._default = default
        self._log = log
        self._additions = [] if additions is None else [additions]
        self._whole = Scope()
        self._cache = ResultCache()
        if additions is not None and inspect.iscoroutinefunction(additions.approve):
            raise ConfigurationError("additions", "approve must be a plain function: a tool is added without awaiting")
        _check_names(self._policies, self.tools)

    @contextmanager
    def scope(
        self, agent: str = "", step: int | None = None, *, policies: Mapping[str, Policy] | None = None
    ) -> Generator[Scope, None, None]:
        """Make the calls of the block one run, with counts of its own; ``policies`` hold in addition.

        A step of a run is entered with :meth:`enter`, which keeps the counts.
        """
        _check_names(policies or {}, self.tools)
        with self.enter(Scope(agent, step, dict(policies or {}))) as scope:
            yield scope

    @contextmanager
    def enter(self, scope: Scope) -> Generator[Scope, None, None]:
        """Make the calls of the block part of a run that exists: ``with tools.enter(scope.at(step=4)): ...``."""
        token = current_scope.set(scope)
        try:
            yield scope
        finally:
            current_scope.reset(token)

    def __iter__(self) -> Iterator[Tool]:
        """Go over the tools of this moment, as Tools whose every call goes through the policies.

        So agents, and registries of one's own, take guarded tools like any others: ``CodeAgent(tools=guarded)``.
        """
        return iter([WrappedTool(tool, name, self) for name, tool in self.tools.items()])

    def __len__(self) -> int:
        return len(self.tools)

    def adopt(self, name: str, tool: Tool, replaces: bool = False) -> Tool:
        """Return a tool of others as one whose every call goes through the policies; it is not added to these tools.

        Raises ToolDenied if ``additions`` do not allow it.
        """
        inner = unwrapped(tool)
        scope = current_scope.get() or self._whole
        guarded = GuardedCall(_ADD_TOOL.name, _ADD_TOOL, self._additions, scope)
        arguments = {"name": name, "description": inner.description, "replaces": replaces, "tool": inner}
        _call(guarded, [], arguments, Account(self._log, _ADD_TOOL.name, scope))
        if isinstance(tool, WrappedTool) and tool.name == name and tool.guard is self:
            return tool
        return WrappedTool(tool, name, self._beside(name, tool))

    def _beside(self, name: str, tool: Tool) -> "GuardedTools":
        """Return the same policies, log and counts for one other tool."""
        other = GuardedTools(ToolRegistry({name: tool}, shadow_builtins=True), default=self._default, log=self._log)
        other._policies, other._whole, other._additions = self._policies, self._whole, self._additions
        other._cache = self._cache
        return other

    def specs(self) -> list[ToolSpec]:
        """Return what the guest needs to know of each tool."""
        return self.tools.specs()

    def version(self) -> int:
        """Return a number that grows with every change of the tools."""
        return self.tools.version()

    def is_async(self, name: str) -> bool:
        """Return whether programs await the tool. Raises UnknownTool."""
        return self.tools.is_async(name)

    def blocking(self, name: str | None = None) -> bool:
        """Return whether a tool or a policy may block. A policy that waits may do so before any tool is called."""
        scope = current_scope.get()
        extra = scope.policies.values() if scope is not None else ()
        waits = any(policy.waits for policy in itertools.chain(self._policies.values(), extra))
        return waits or (self._default is not None and self._default.waits) or self.tools.blocking(name)

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Make a call if the policies allow it; return the tool's value or an awaitable of it.

        Raises UnknownTool, ToolRejected, ToolDenied, ToolTimedOut, or whatever the tool or the log raises.
        """
        guarded = self._guarded(name)
        return _call(guarded, args, kwargs, Account(self._log, name, guarded.scope))

    def any_suspends(self) -> bool:
        """Return whether any tool suspends or needs approval."""
        return self.tools.any_suspends()

    def suspends(self, name: str) -> bool:
        """Return whether calls of this tool wait for an answer."""
        return self.tools.suspends(name)

    def needs_approval(self, name: str) -> bool:
        """Return whether calls of this tool wait for approval."""
        return self.tools.needs_approval(name)

    def check(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Raise what :meth:`call` raises for this call without asking an approver or counting it, and record a refusal.

        Raises UnknownTool, ToolRejected, ToolDenied, or what the log raises.
        """
        guarded = self._guarded(name)
        check_guarded(guarded, args, kwargs, Account(self._log, name, guarded.scope))

    def approved(self, call: AnsweredCall) -> Any:
        """Do what :meth:`call` does, for a call that waited for approval and was approved."""
        guarded = self._guarded(call.name)._replace(waited=call)
        account = Account(self._log, call.name, guarded.scope, call.since, approval="yes")
        return _call(guarded, call.args, call.kwargs, account)

    def answered(self, call: AnsweredCall, value: Any, error: BaseException | None) -> Any:
        """Return the value, masked, or raise the error, of a call that is answered and not made, and record it.

        Raises ToolDenied, UnknownTool for a tool that is gone, or what the log raises.
        """
        if error is not None and call.name not in self.tools:
            # There is nothing to count or to mask, and no policy to say what may be recorded.
            raise error
        guarded = self._guarded(call.name)
        account = Account(self._log, call.name, guarded.scope, call.since)
        return answer_guarded(guarded, call, value, error, account)

    def _guarded(self, name: str) -> GuardedCall:
        tool = self.tools.get(name)
        if tool is None:
            raise UnknownTool(name)
        scope = current_scope.get() or self._whole
        return GuardedCall(name, tool, self._policies_for(name, scope), scope, cache=self._cache)

    def _policies_for(self, name: str, scope: Scope) -> list[Policy]:
        own = self._policies.get(name, self._default)
        return [policy for policy in (own, scope.policies.get(name)) if policy is not None]


def _add_tool(name: str, description: str, replaces: bool, tool: Any) -> str:
    return f"{name}: {type(tool).__name__}"


_ADD_TOOL = FunctionTool(_add_tool, name="add_tool", typed=False, blocking=False)


def _call(guarded: GuardedCall, args: list[Any], kwargs: dict[str, Any], account: Account) -> Any:
    way = _way(guarded.tool, guarded.policies)
    steps = call_guarded(guarded, args, kwargs, way, account)
    inline = isinstance(way, InlineExecution)
    key = account.id if guarded.waited is None else guarded.waited.key
    return made_as(key, lambda: finish_inline(steps) if inline else steps, awaited=not inline)


def _way(tool: Tool, policies: Sequence[Policy]) -> CallExecution:
    if tool.is_async:
        return AwaitedExecution()
    asks_async = any(inspect.iscoroutinefunction(policy.approve) for policy in policies)
    return ThreadExecution() if asks_async else InlineExecution()


def _check_names(policies: Mapping[str, Policy], tools: ToolRegistry) -> None:
    for name in policies:
        if name not in tools:
            near = difflib.get_close_matches(name, tools, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError("policies", f"there is no tool {name!r}{hint}")
