"""One call's account while it goes on, and the records made of it."""

import time
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from cloche.host_tools.call_log import CallLog, CallOutcome, CallRecord
from cloche.host_tools.policy.redaction import recorded, recorded_arguments, without_secrets
from cloche.host_tools.policy.scope import Scope

__all__ = ["Account"]


class Account:
    """Writes what becomes of one call to a log: once before the tool runs, once when all is over.

    ``since`` is when it began, in seconds since the epoch, if that was not now but when its program was suspended.
    ``approval`` says whose leave it has had already.
    """

    def __init__(
        self, log: CallLog | None, tool: str, scope: Scope, since: float | None = None, approval: str = ""
    ) -> None:
        self.attempts = 0
        self.approval = approval
        self.redact: Collection[str] = ()
        self.arguments: Mapping[str, Any] = {}
        self._log = log
        self._tool = tool
        self._scope = scope
        self._id = uuid.uuid4().hex
        now = time.time()
        self._time = now if since is None else since
        # A wait may be in another process, whose perf_counter is another one.
        self._start = time.perf_counter() - max(0.0, now - self._time)

    def begin(self) -> None:
        """Write that the call is about to be made. What the log raises stops it."""
        if self._log is not None:
            self._log.write(self._record("running", None, None, ""))

    def end(self, outcome: CallOutcome, value: Any = None, error: BaseException | None = None) -> None:
        """Write how the call ended. What the log raises is told instead of the value."""
        if self._log is not None:
            seconds = time.perf_counter() - self._start
            self._log.write(self._record(outcome, seconds, value, self._text(error)))

    def _record(self, outcome: CallOutcome, seconds: float | None, value: Any, error: str) -> CallRecord:
        return CallRecord(
            id=self._id,
            time=self._time,
            tool=self._tool,
            arguments=recorded_arguments(self.arguments, self.redact),
            outcome=outcome,
            agent=self._scope.agent,
            step=self._scope.step,
            run=self._scope.run,
            seconds=seconds,
            attempts=self.attempts,
            approval=self.approval,
            error=error,
            value=recorded(value, self.redact),
        )

    def _text(self, error: BaseException | None) -> str:
        if error is None:
            return ""
        return without_secrets(f"{type(error).__name__}: {error}", self.arguments, self.redact)
