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
from cloche.runtime.result import message_of
from cloche.runtime.values.containers import plain_class

__all__ = ["Account", "Secrets", "recorded", "recorded_arguments"]


_MAX_RECORDED = 16_384
_MAX_ERROR = 2_000
_MAX_ARGUMENTS = 65_536
_MAX_NAMES = 200
_MAX_NAME = 200
# Shorter texts would blank out parts of ordinary words.
_MIN_SECRET = 4
_MAX_SECRETS = 100
_MAX_WALKED = 20_000
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


class Secrets:
    """What is to stay secret of one call: the names under which it was sent, and the texts that stood there.

    So a secret is blanked out wherever it turns up in the record: in another argument, in the value, in an error.
    """

    def __init__(self, arguments: Mapping[str, Any], names: Collection[str]) -> None:
        self.names = names
        self._texts: list[str] = []
        try:
            texts = list(itertools.islice(_texts_in(arguments, names), _MAX_SECRETS + 1)) if names else []
            self._unknown = len(texts) > _MAX_SECRETS
            self._texts = sorted(set(texts), key=len, reverse=True)
        except ValueError:
            # There is more than is looked through, or an int too long to be spelt.
            self._unknown = True
        self._length = sum(map(len, self._texts))

    def without(self, text: str) -> str:
        """Return a text with the secrets blanked out; nothing of it where there is too much to look for."""
        if self._unknown or (self._texts and len(text) + self._length > _MAX_SEARCHED):
            return _HIDDEN
        for secret in self._texts:
            text = text.replace(secret, _HIDDEN)
        return text


def recorded_arguments(arguments: Mapping[str, Any], secrets: Secrets) -> dict[str, Any]:
    """Return arguments for a record, each one cut by itself where it is large, and all of them where they are many."""
    kept: dict[str, Any] = {}
    left = _MAX_ARGUMENTS
    for name, value in arguments.items():
        if left <= 0 or len(kept) == _MAX_NAMES:
            kept["..."] = f"{len(arguments) - len(kept)} more"
            break
        plain, size = (_HIDDEN, 0) if name in secrets.names else _recorded(value, secrets)
        left -= size
        kept[name[:_MAX_NAME]] = plain
    return kept


def recorded(value: Any, secrets: Secrets) -> Any:
    """Return a value as JSON data; one of more than 16 KiB, or that JSON cannot hold, as a short text."""
    return _recorded(value, secrets)[0]


def _recorded(value: Any, secrets: Secrets) -> tuple[Any, int]:
    # Looked at first, since converting megabytes only to cut them takes seconds.
    if not _fits(value, _MAX_RECORDED):
        return secrets.without(brief_with_type(_sample(value, secrets.names))), _SAMPLE
    try:
        plain = to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="strings", fallback=brief_with_type)
        hidden = _hide(plain, secrets)
        size = len(json.dumps(hidden, allow_nan=False))
        return (hidden, size) if size <= _MAX_RECORDED else (brief_with_type(_sample(hidden, ())), _SAMPLE)
    except (ValueError, RecursionError, TypeError):
        return secrets.without(brief(_sample(value, secrets.names))), _SAMPLE


def _fits(value: Any, size: int) -> bool:
    """Return whether the value's JSON may be as short as ``size``. Looks at no more of it than that takes."""
    left = size
    stack = [value]
    while stack and left >= 0:
        item = stack.pop()
        if isinstance(item, _MAPPINGS) and len(item) > left:
            return False
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
    if plain_class(value) in _DICTS and depth:
        items = itertools.islice(value.items(), _SAMPLE)
        return {key: _HIDDEN if key in redact else _sample(item, redact, depth - 1) for key, item in items}
    kind = plain_class(value)
    if kind in _LISTS and depth:
        return kind(_sample(item, redact, depth - 1) for item in value[:_SAMPLE])
    return value


def _hide(value: Any, secrets: Secrets) -> Any:
    if type(value) is str:
        return secrets.without(value)
    if type(value) in _DICTS:
        names = secrets.names
        return {secrets.without(key): _HIDDEN if key in names else _hide(item, secrets) for key, item in value.items()}
    return [_hide(item, secrets) for item in value] if type(value) in _LISTS else value


def _texts_in(arguments: Any, names: Collection[str]) -> Iterator[str]:
    """Yield the texts that would give something redacted away: its own, and as ``repr`` spells it.

    Raises ValueError where there is more to look through than that is worth, or an int is too long to be spelt.
    """
    stack: list[tuple[Any, bool]] = [(arguments, False)]
    left = _MAX_WALKED
    while stack:
        value, secret = stack.pop()
        if secret and type(value) in _SPELT:
            spelt = (str(value), repr(value)[1:-1] if type(value) is str else repr(value))
            yield from (text for text in spelt if len(text) >= _MIN_SECRET)
            continue
        is_dict = plain_class(value) in _DICTS
        parts: Collection[Any] = value.items() if is_dict else _parts(value)
        left -= len(parts)
        if left < 0:
            raise ValueError("too much to look through")
        if is_dict:
            stack += [(item, secret or key in names) for key, item in parts]
        else:
            stack += [(part, secret) for part in parts]


def _text_of(error: BaseException) -> str:
    message = message_of(error)
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
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
        self._secrets: Secrets | None = None
        self._known = False
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

    @property
    def secrets(self) -> Secrets:
        """What is to stay secret, found out once the arguments are known, before the tool may change them."""
        if self._secrets is None or not self._known:
            self._known = bool(self.arguments)
            self._secrets = Secrets(self.arguments, self.redact)
        return self._secrets

    def begin(self) -> None:
        """Write that the call is about to be made. What the log raises stops it."""
        if self._log is not None:
            # Kept for the end: the tool may change what it was given.
            self._begun = recorded_arguments(self.arguments, self.secrets)
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
            arguments=recorded_arguments(self.arguments, self.secrets) if self._begun is None else self._begun,
            outcome=outcome,
            agent=self._scope.agent,
            step=self._scope.step,
            run=self._scope.run,
            seconds=seconds,
            attempts=self.attempts,
            approval=self.approval,
            error=error,
            value=recorded(value, self.secrets),
        )

    def _text(self, error: BaseException | None) -> str:
        if error is None:
            return ""
        if self.redact and isinstance(error, ToolRejected):
            # Its text quotes what was sent, and which part of that is secret was not found out.
            where = f" about the argument {error.argument!r}" if error.argument else ""
            return f"{type(error).__name__}: {error.guest_type}{where}"
        return self.secrets.without(_text_of(error))[:_MAX_ERROR]
