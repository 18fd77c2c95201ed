"""One call's account while it is under way, and the records made of it.

They are plain JSON data, of bounded size, without what is to stay secret.
"""

import dataclasses
import itertools
import json
import time
import uuid
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from cloche.host_tools.call_log import CallLog, CallOutcome, CallRecord
from cloche.host_tools.display import brief, brief_with_type
from cloche.host_tools.errors import ToolRejected
from cloche.host_tools.policy.policy import Scope

__all__ = ["Account", "recorded", "recorded_arguments", "without_secrets"]


_MAX_RECORDED = 16_384
_MAX_ERROR = 2_000
# Shorter texts would blank out parts of ordinary words.
_MIN_SECRET = 4
_MAX_SECRETS = 100
_MAX_SEARCHED = 1 << 18
_HIDDEN = "[redacted]"
_DICTS = frozenset({dict})
_LISTS = frozenset({list, tuple})
_CONTAINERS = (list, tuple, set, frozenset, deque)
_MAPPINGS: Any = Mapping
_NODE = 2
"""Characters of JSON that a value takes at least, its comma included."""
_SAMPLE = 5
_SPELT = frozenset({str, bytes, int, float, Decimal, UUID})


def recorded_arguments(arguments: Mapping[str, Any], redact: Collection[str]) -> dict[str, Any]:
    """Return arguments for a record, each one cut by itself where it is large."""
    return {name: _HIDDEN if name in redact else recorded(value, redact) for name, value in arguments.items()}


def recorded(value: Any, redact: Collection[str]) -> Any:
    """Return a value as JSON data; one of more than 16 KiB, or that JSON cannot hold, as a short text."""
    # Looked at first, since converting megabytes only to cut them takes seconds that no limit of a run covers.
    if not _fits(value, _MAX_RECORDED):
        return brief_with_type(_sample(value, redact))
    try:
        plain = to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="strings", fallback=brief_with_type)
        hidden = _hide(plain, redact)
        return (
            hidden
            if len(json.dumps(hidden, allow_nan=False)) <= _MAX_RECORDED
            else brief_with_type(_sample(hidden, ()))
        )
    except (ValueError, RecursionError, TypeError):
        return brief(_sample(value, redact))


def without_secrets(text: str, arguments: Mapping[str, Any], redact: Collection[str]) -> str:
    """Return an error's text with the redacted arguments' texts blanked out, cut at 2,000 characters.

    Where there is too much to look for, nothing of the text is left.
    """
    secrets = list(itertools.islice(_secrets(arguments, redact), _MAX_SECRETS + 1)) if redact else []
    if len(secrets) > _MAX_SECRETS or (secrets and len(text) + sum(map(len, secrets)) > _MAX_SEARCHED):
        return _HIDDEN
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text[:_MAX_ERROR]


def _fits(value: Any, size: int) -> bool:
    """Return whether the value's JSON may be as short as ``size``. Looks at no more of it than that takes."""
    left = size
    stack = [value]
    while stack and left >= 0:
        item = stack.pop()
        left -= _NODE
        if isinstance(item, (str, bytes, bytearray)):
            left -= len(item)
        elif isinstance(item, int):
            left -= item.bit_length() // 4
        elif len(parts := _parts(item)) > left:
            return False
        else:
            stack.extend(parts)
    return left >= 0


def _parts(value: Any) -> Collection[Any]:
    if isinstance(value, _MAPPINGS):
        return list(value.values())
    if isinstance(value, _CONTAINERS):
        return cast("Collection[Any]", value)
    if isinstance(value, BaseModel):
        return vars(value).values()
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return ()


def _sample(value: Any, redact: Collection[str], depth: int = 3) -> Any:
    """Return as much of the value as a short text shows, without what is to stay secret."""
    if type(value) in _DICTS and depth:
        items = itertools.islice(value.items(), _SAMPLE)
        return {key: _HIDDEN if key in redact else _sample(item, redact, depth - 1) for key, item in items}
    if type(value) in _LISTS and depth:
        return type(value)(_sample(item, redact, depth - 1) for item in value[:_SAMPLE])
    return value


def _hide(value: Any, redact: Collection[str]) -> Any:
    if type(value) in _DICTS:
        return {key: _HIDDEN if key in redact else _hide(item, redact) for key, item in value.items()}
    return [_hide(item, redact) for item in value] if type(value) in _LISTS else value


def _secrets(value: Any, redact: Collection[str], secret: bool = False) -> Iterator[str]:
    """Yield the texts that would give something redacted away: its own, and as ``repr`` spells it."""
    if secret and type(value) in _SPELT:
        spelt = (str(value), repr(value)[1:-1] if type(value) is str else repr(value))
        yield from (text for text in spelt if len(text) >= _MIN_SECRET)
    elif type(value) in _DICTS:
        for key, item in value.items():
            yield from _secrets(item, redact, secret or key in redact)
    else:
        for item in _parts(value):
            yield from _secrets(item, redact, secret)


def _text_of(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        # The tool's own class may fail to say what happened.
        text = type(error).__name__
    # Not every log can hold a lone surrogate, and a call's end must not be hidden by one.
    return text.encode("utf-8", "backslashreplace").decode()


class Account:
    """Writes what becomes of one call to a log: once before the tool runs, once when all is over.

    ``since`` is when it began, in seconds since the epoch, if that was not now but when its program was suspended.
    ``approval`` says who approved it already. ``id`` is the record's, and the call's unless it waited for approval.
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
        self.id = uuid.uuid4().hex
        self._begun: dict[str, Any] | None = None
        now = time.time()
        self._time = now if since is None else since
        # A wait may be in another process, whose perf_counter is another one.
        self._start = time.perf_counter() - max(0.0, now - self._time)

    def begin(self) -> None:
        """Write that the call is about to be made. What the log raises stops it."""
        if self._log is not None:
            # Kept for the end: the tool may change what it was given.
            self._begun = recorded_arguments(self.arguments, self.redact)
            self._log.write(self._record("running", None, None, ""))

    def end(self, outcome: CallOutcome, value: Any = None, error: BaseException | None = None) -> None:
        """Write how the call ended. What the log raises takes the place of the value."""
        if self._log is not None:
            seconds = time.perf_counter() - self._start
            self._log.write(self._record(outcome, seconds, value, self._text(error)))

    def _record(self, outcome: CallOutcome, seconds: float | None, value: Any, error: str) -> CallRecord:
        return CallRecord(
            id=self.id,
            time=self._time,
            tool=self._tool,
            arguments=recorded_arguments(self.arguments, self.redact) if self._begun is None else self._begun,
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
        if self.redact and isinstance(error, ToolRejected):
            # Its text quotes what was sent, and which part of that is secret was not found out.
            where = f" about the argument {error.argument!r}" if error.argument else ""
            return f"{type(error).__name__}: {error.guest_type}{where}"
        return without_secrets(_text_of(error), self.arguments, self.redact)
