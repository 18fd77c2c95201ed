"""What can be demanded of a tool's calls."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from cloche.host_tools.policy.constraints import Constraint
from cloche.host_tools.policy.planned import PlannedCall
from cloche.host_tools.policy.rate import Rate
from cloche.runtime.errors import ConfigurationError

__all__ = ["Approval", "Approver", "Policy", "Retry"]


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
    """An approver's decision. ``by`` goes into the record, ``reason`` is told to the program if it is a refusal."""

    allowed: bool
    by: str = ""
    reason: str = ""


Approver = Callable[[PlannedCall], bool | Approval | Awaitable[bool | Approval]]
"""Asked before a call; only True, or an Approval with ``allowed=True``, lets it happen. May be a coroutine function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is demanded of each call of a tool. All of it must hold; what raises has denied.

    ``arguments``  a constraint for each argument that has one; see :mod:`cloche.host_tools.policy.constraints`.
    ``check``      judges the whole call, as a constraint does one argument; a call that waits for somebody, twice.
    ``calls``      how many calls one run may make; calls that are refused approval count too. Default: any number.
    ``rate``       how many in a time, over all runs and whatever else shares the Rate.
    ``approve``    asked before each call.
    ``timeout``    seconds for the tool, retries and pauses between them included, approval not. A plain function
                   cannot be stopped: it is left behind on a thread of its own.
    ``retry``      whether to try again.
    ``redact``     names of arguments, and of keys anywhere in arguments and values, whose content is kept out of
                   the record.
    ``mask``       takes what the tool returned and returns what the guest gets instead.

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

    def __post_init__(self) -> None:
        if isinstance(self.redact, str):
            raise ConfigurationError("redact", f"write a list of names: [{self.redact!r}]")
        if self.calls is not None and self.calls < 0:
            raise ConfigurationError("calls", f"{self.calls} is less than 0")
        if self.timeout is not None:
            _positive("timeout", self.timeout)

    @property
    def waits(self) -> bool:
        """Whether it can take time beside the tool's own."""
        return self.approve is not None or self.retry is not None or self.timeout is not None


def _positive(name: str, number: float) -> None:
    if not number > 0:
        raise ConfigurationError(name, f"{number} is not greater than 0")
