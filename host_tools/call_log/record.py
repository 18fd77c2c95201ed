"""One record of a call, and what keeps records."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = ["CallLog", "CallOutcome", "CallRecord"]

CallOutcome = Literal["running", "returned", "raised", "rejected", "denied", "timed out", "cancelled"]
"""How a call ended. ``rejected``: wrong arguments. ``denied``: a policy said no. In neither case the tool ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call of a tool. Everything in it is plain JSON data, and what a policy redacts is not in it."""

    id: str
    """The same in the record of the beginning (``running``) and of the end."""
    time: float
    """When the call began: seconds since the epoch. Of one that its program was suspended for, when that was."""
    tool: str
    arguments: dict[str, Any]
    """By parameter, defaults filled in; as sent, under ``args`` and ``kwargs``, if the call was rejected,
    and then empty where a policy redacts, since nobody knows what stood where."""
    outcome: CallOutcome
    agent: str = ""
    step: int | None = None
    run: str = ""
    """The scope the call was made in; calls of one scope share it."""
    seconds: float | None = None
    """How long it took, retries and waiting for approval or an answer included; None while it is running."""
    attempts: int = 0
    """How often the tool was started: 0 if it was not, more than 1 after retries."""
    approval: str = ""
    """Who approved or refused, as the approver said, or ``yes`` or ``no``; empty where nobody was asked for leave."""
    error: str = ""
    """Why it was denied or rejected, or the class and text of what the tool raised."""
    value: Any = None
    """What the guest was given, in short where it is large."""


class CallLog(Protocol):
    """Keeps records. Safe to use from several threads at once."""

    def write(self, record: CallRecord) -> None:
        """Keep a record, in place of an earlier one of the same id. Once before the tool runs, once after.

        What this raises stops the call: nothing happens without a record.
        """
        ...
