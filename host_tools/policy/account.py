"""One call's account while it is under way, and the records made of it: plain JSON data, of bounded size, without what is to stay secret."""

import json
import time
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from cloche.host_tools.call_log import CallLog, CallOutcome, CallRecord
from cloche.host_tools.display import brief, brief_with_type
from cloche.host_tools.policy.policy import Scope

__all__ = ["Account", "recorded", "recorded_arguments", "without_secrets"]


_LARGEST = 16_384
_LONGEST_ERROR = 2_000
# Shorter texts would blank out parts of ordinary words.
_SHORTEST_SECRET = 4
_HIDDEN = "[redacted]"
_DICTS = frozenset({dict})
_LISTS = frozenset({list, tuple})


def recorded_arguments(arguments: Mapping[str, Any], redact: Collection[str]) -> dict[str, Any]:
    """Return arguments for a record, each one cut by itself where it is large."""
    return {name: _HIDDEN if name in redact else recorded(value, redact) for name, value in arguments.items()}


def recorded(value: Any, redact: Collection[str]) -> Any:
    """Return a value as JSON data; one of more than 16 KiB, or that JSON cannot hold, as a short text."""
    try:
        plain = to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="strings", fallback=brief_with_type)
        hidden = _hide(plain, redact)
        return hidden if len(json.dumps(hidden, allow_nan=False)) <= _LARGEST else brief_with_type(hidden)
    except (ValueError, RecursionError, TypeError):
        return brief(value)


def without_secrets(text: str, arguments: Mapping[str, Any], redact: Collection[str]) -> str:
    """Return an error's text with the redacted arguments' texts blanked out, cut at 2,000 characters."""
    for secret in _texts([arguments[name] for name in redact if name in arguments]):
        text = text.replace(secret, _HIDDEN)
    return text[:_LONGEST_ERROR]


def _hide(value: Any, redact: Collection[str]) -> Any:
    if type(value) in _DICTS:
        return {key: _HIDDEN if key in redact else _hide(item, redact) for key, item in value.items()}
    return [_hide(item, redact) for item in value] if type(value) in _LISTS else value


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if len(value) >= _SHORTEST_SECRET else []
    items: Any = value.values() if type(value) in _DICTS else value if type(value) in _LISTS else ()
    return [text for item in items for text in _texts(item)]


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
