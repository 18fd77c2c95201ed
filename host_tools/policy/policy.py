"""What can be demanded of a tool's calls, and whose calls they are."""

import re
import threading
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from cloche.runtime.errors import ConfigurationError, GuestVisibleError

__all__ = [
    "Approval",
    "Approver",
    "Constraint",
    "PlannedCall",
    "Policy",
    "Rate",
    "Retry",
    "Scope",
    "ToolDenied",
    "ToolTimedOut",
    "at_most",
    "between",
    "current_scope",
    "matching",
    "max_length",
    "one_of",
]


class ToolDenied(GuestVisibleError):
    """A policy did not allow a call; the tool was not run. In the guest it is a PermissionError.

    ``tool`` is the tool's name and ``reason`` what the program may know. The exception of a policy that failed
    is the ``__cause__``, for the host alone.
    """

    guest_type = "PermissionError"

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(tool, reason)
        self.tool = tool
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.tool}() is not allowed: {self.reason}"


class ToolTimedOut(GuestVisibleError):
    """A tool took longer than its policy allows, and is not waited for any more. In the guest a TimeoutError."""

    guest_type = "TimeoutError"

    def __init__(self, tool: str, seconds: float) -> None:
        super().__init__(tool, seconds)
        self.tool = tool
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.tool}() took longer than {self.seconds:.3g} s"


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """What a policy judges: exactly what the tool will be given if it is allowed.

    ``arguments`` are checked and converted, by parameter, defaults filled in. They are the host's own objects,
    out of the program's reach, so what was approved is what happens.
    """

    tool: str
    arguments: Mapping[str, Any]
    agent: str = ""
    step: int | None = None
    run: str = ""


Constraint = Callable[[Any], object]
"""Judges one argument: True allows it, text is the reason why not; all else, and an exception, denies as well."""


def one_of(*allowed: Any) -> Constraint:
    """Allow these values only."""

    def check(value: Any) -> object:
        return value in allowed or f"it must be one of {', '.join(map(repr, allowed))}"

    return check


def at_most(limit: Any) -> Constraint:
    """Allow what is not greater than ``limit``; a nan is never allowed."""

    def check(value: Any) -> object:
        return bool(value <= limit) or f"it must be at most {limit}"

    return check


def between(low: Any, high: Any) -> Constraint:
    """Allow what is neither less than ``low`` nor greater than ``high``."""

    def check(value: Any) -> object:
        return bool(low <= value <= high) or f"it must be from {low} to {high}"

    return check


def max_length(length: int) -> Constraint:
    """Allow text, bytes and containers of at most so many characters, bytes or items."""

    def check(value: Any) -> object:
        return len(value) <= length or f"it must not be longer than {length}, and has {len(value)}"

    return check


def matching(pattern: str) -> Constraint:
    """Allow text that the regular expression matches as a whole."""
    compiled = re.compile(pattern)

    def check(value: Any) -> object:
        return compiled.fullmatch(value) is not None or f"it must match {pattern!r}"

    return check


class Rate:
    """At most ``calls`` in any ``seconds`` (default 1), over all runs and threads of the process.

    The same object in several policies is one rate that they share. Raises ConfigurationError for numbers that
    are not positive.
    """

    def __init__(self, calls: int, seconds: float = 1.0) -> None:
        if not (calls > 0 and seconds > 0):
            raise ConfigurationError("rate", f"{calls} calls in {seconds} s: both have to be greater than 0")
        self.calls = calls
        self.seconds = seconds
        self._lock = threading.Lock()
        self._made: deque[float] = deque()

    def take(self) -> float:
        """Count one more call and return 0; or return the seconds until there is room for it, and count nothing."""
        with self._lock:
            now = monotonic()
            while self._made and self._made[0] <= now - self.seconds:
                self._made.popleft()
            if len(self._made) >= self.calls:
                return self._made[0] + self.seconds - now
            self._made.append(now)
            return 0.0

    def __repr__(self) -> str:
        return f"Rate({self.calls}, {self.seconds:g})"


@dataclass(frozen=True, slots=True)
class Retry:
    """Start the tool again, up to ``times`` more, after it raised one of ``on``.

    The first pause is ``wait`` seconds, each one after it twice as long. Only for tools that may be run twice.
    """

    times: int = 2
    on: tuple[type[Exception], ...] = (ConnectionError, TimeoutError)
    wait: float = 0.5

    def __post_init__(self) -> None:
        _positive("retry times", self.times)

    @property
    def pauses(self) -> list[float]:
        """The seconds to wait before each further attempt."""
        return [self.wait * 2**number for number in range(self.times)]


@dataclass(frozen=True, slots=True)
class Approval:
    """An approver's decision. ``by`` goes into the record; the program reads the ``reason`` of a refusal."""

    allowed: bool
    by: str = ""
    reason: str = ""


Approver = Callable[[PlannedCall], bool | Approval | Awaitable[bool | Approval]]
"""Asked before a call; only True, or an Approval with ``allowed=True``, lets it happen. May be a coroutine function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is demanded of each call of a tool. All of it must hold; what raises has denied.

    ``arguments``  a constraint for each argument that has one; see :mod:`cloche.host_tools.policy.policy`.
    ``check``      judges the whole call, as a constraint does one argument; a call that waits for an answer, twice.
    ``calls``      how many calls one run may make; calls that are refused approval count too. Default: any number.
    ``rate``       how many in a time, over all runs and whatever else shares the Rate.
    ``approve``    asked before each call.
    ``timeout``    seconds for the tool, retries and pauses between them included, approval not. A plain function
                   cannot be stopped: it is left behind on a thread of its own.
    ``retry``      whether to try again.
    ``redact``     names of arguments, and of keys anywhere in arguments and values, whose content is kept out of
                   the record.
    ``mask``       takes what the tool returned and returns what the guest gets instead.
    ``cache``      seconds for which what the tool returned is given again to calls with the same arguments, whoever
                   makes them: for tools that depend on nothing else. Such a call is judged, counted and recorded like
                   any other, with 0 attempts. Errors are not kept, nor are calls that waited for approval.

    Raises ConfigurationError for numbers that are not positive.
    """

    arguments: Mapping[str, Constraint] = field(default_factory=dict[str, Constraint])
    check: Callable[[PlannedCall], object] | None = None
    calls: int | None = None
    rate: Rate | None = None
    approve: Approver | None = None
    timeout: float | None = None
    retry: Retry | None = None
    redact: Collection[str] = ()
    mask: Callable[[Any], Any] | None = None
    cache: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.redact, str):
            raise ConfigurationError("redact", f"write a list of names: [{self.redact!r}]")
        if self.calls is not None and self.calls < 0:
            raise ConfigurationError("calls", f"{self.calls} is less than 0")
        if self.timeout is not None:
            _positive("timeout", self.timeout)
        if self.cache is not None:
            _positive("cache", self.cache)

    @property
    def waits(self) -> bool:
        """Whether it can take time beside the tool's own."""
        return self.approve is not None or self.retry is not None or self.timeout is not None


def _positive(name: str, number: float) -> None:
    if not number > 0:
        raise ConfigurationError(name, f"{number} is not greater than 0")


class _Counts:
    """How many calls of each tool were made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Counter[str] = Counter()

    def take(self, name: str, limit: int | None) -> bool:
        """Count one more, unless ``limit`` is reached; return whether it was counted."""
        with self._lock:
            if limit is not None and self._made[name] >= limit:
                return False
            self._made[name] += 1
            return True

    def made(self, name: str) -> int:
        """Return how many there were."""
        with self._lock:
            return self._made[name]


@dataclass(frozen=True, slots=True)
class Scope:
    """One run, with its own counts; a step of it shares the counts of the whole.

    ``policies`` hold in addition to the tools' own, while the scope is entered.
    """

    agent: str = ""
    step: int | None = None
    policies: Mapping[str, Policy] = field(default_factory=dict[str, Policy])
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    counts: _Counts = field(default_factory=_Counts, repr=False, compare=False)

    def at(self, step: int) -> "Scope":
        """Return the same run at another step."""
        return Scope(self.agent, step, self.policies, self.run, self.counts)


# A context variable, because one set of tools serves several agents at once. The runtime carries it to its threads.
current_scope: ContextVar[Scope | None] = ContextVar("cloche_scope", default=None)
