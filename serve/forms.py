"""What crosses the server's two borders: values, results and errors as JSON, and frames between its processes.

A value that JSON has is itself. Any other is an object with one key that begins with ``$``: ``$tuple``, ``$bytes``
(base64), ``$float`` ("nan", "inf", "-inf"), or ``$cloche``, the codec's bytes in base64, for everything else that can
leave a guest. So nothing is ambiguous and nothing is lost.
"""

import asyncio
import base64
import json
import math
import struct
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import msgpack
from pydantic import BaseModel, ConfigDict, Field

from cloche.runtime import errors
from cloche.runtime.errors import ClocheError, GuestError
from cloche.runtime.limits import LIMITS, Limits
from cloche.runtime.result import Display, Result, ToolCallRecord, Usage, ValueRepr
from cloche.runtime.values import decode, encode

if TYPE_CHECKING:
    # Clients and workers have these forms too, and no framework.
    from starlette.requests import Request

__all__ = [
    "MAX_FRAME",
    "AnswerForm",
    "Channel",
    "Endpoint",
    "ForkForm",
    "Problem",
    "RenewForm",
    "ResumeForm",
    "RunForm",
    "SessionForm",
    "ValueForm",
    "calls_form",
    "dumps",
    "error_form",
    "error_of",
    "from_form",
    "limits_form",
    "limits_of",
    "read_body",
    "read_parts",
    "record_of",
    "result_form",
    "result_of",
    "to_form",
]

MAX_FRAME = 256 << 20
"""Bytes of one frame between two processes: a snapshot of a full memory is the largest thing that is sent."""
_MAX_DEPTH = 64
_MAX_FORKS = 1_000
# What every JSON reader takes for the same number.
_MAX_INT = 1 << 53


class Problem(Exception):
    """A request that is refused, as a problem document (RFC 9457): one shape for all of them.

    ``code`` is for programs and never changes; ``message`` says what happened, ``cause`` why, and ``remedy`` what to
    do. ``retry_after`` are seconds. ``more`` are numbers that belong to it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        cause: str = "",
        remedy: str = "",
        retry_after: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message
        self.cause, self.remedy, self.retry_after, self.more = cause, remedy, retry_after, more

    def form(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "type": f"urn:cloche:problem:{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "code": self.code,
            "message": self.message,
            "cause": self.cause,
            "remedy": self.remedy,
            **({} if self.retry_after is None else {"retry_after": round(self.retry_after, 3)}),
            **self.more,
        }

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _problem, (self.form(),)


def _problem(form: dict[str, Any]) -> Problem:
    known = ("status", "code", "message", "cause", "remedy", "retry_after")
    more = {key: value for key, value in form.items() if key not in (*known, "type", "title")}
    return Problem(**{key: form[key] for key in known if key in form}, **more)


def dumps(form: Any) -> bytes:
    """Return a form as JSON. ASCII only: what a guest printed may hold lone surrogates, which UTF-8 does not have."""
    return json.dumps(form, allow_nan=False, separators=(",", ":")).encode()


def _class_of(value: Any) -> type[Any]:
    # As it is: subclasses may say of themselves what they like.
    return type(value)  # pyright: ignore[reportUnknownVariableType]


def to_form(value: Any, depth: int = 0) -> Any:
    """Return a value as what JSON can say. Raises TypeError or ValueError for what could not cross a guest's border."""
    kind = _class_of(value)
    if value is None or kind is bool or (kind is str and _is_text(value)):
        return value
    if kind is int and -_MAX_INT <= value <= _MAX_INT:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if kind is bytes:
        return {"$bytes": base64.b64encode(value).decode()}
    if depth < _MAX_DEPTH:
        if kind is list:
            return [to_form(each, depth + 1) for each in value]
        if kind is tuple:
            return {"$tuple": [to_form(each, depth + 1) for each in value]}
        if kind is dict and all(type(key) is str and not key.startswith("$") and _is_text(key) for key in value):
            return {key: to_form(each, depth + 1) for key, each in value.items()}
    return {"$cloche": base64.b64encode(encode(value)).decode()}


def _is_text(value: str) -> bool:
    """Return whether text has no lone surrogates, which many readers of JSON refuse."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def from_form(form: Any, depth: int = 0) -> Any:
    """Return the value of a form that someone else made. Raises ValueError for one that cannot be."""
    if depth > 2 * _MAX_DEPTH:
        raise ValueError("a value is nested too deeply")
    if isinstance(form, list):
        return [from_form(each, depth + 1) for each in _items(form)]
    if not isinstance(form, dict):
        return form
    known = cast("dict[str, Any]", form)
    if len(known) == 1 and (key := next(iter(known))).startswith("$"):
        return _marked(key, known[key], depth)
    if any(key.startswith("$") for key in known):
        raise ValueError("a key that begins with $ stands alone in its object, and marks a value that JSON has not")
    return {key: from_form(each, depth + 1) for key, each in known.items()}


def _items(form: Any) -> Iterator[Any]:
    return iter(form)


def _marked(key: str, inner: Any, depth: int) -> Any:
    if key == "$tuple" and isinstance(inner, list):
        return tuple(from_form(each, depth + 1) for each in _items(inner))
    if key == "$float" and inner in ("nan", "inf", "-inf"):
        return float(inner)
    if key in ("$bytes", "$cloche") and isinstance(inner, str):
        data = base64.b64decode(inner, validate=True)
        return data if key == "$bytes" else decode(data)
    raise ValueError(f"{key[:40]!r} marks no value that there is, or not one like this")


# What requests say.

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.~-]{1,96}$")]
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ToolForm(_Body):
    """A tool that the client answers itself."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
    description: Annotated[str, Field(max_length=8_000)] = ""
    parameters: dict[str, Any] = {"type": "object", "properties": {}}
    """The JSON schema of an object: a property for each parameter."""
    suspend: bool = False
    """Whether the program is suspended at each call, and the request ends, until the token is resumed."""
    approval: bool = False
    is_async: bool = False
    """Whether programs await it: then many of its calls can wait at once."""


class BudgetForm(_Body):
    """What all runs of the session may use together; see ``cloche.SessionBudget``."""

    runs: int | None = None
    fuel: int | None = None
    time: float | None = None
    output: int | None = None
    calls: int | None = None


class SessionForm(_Body):
    """A new session. Limits are clamped to the tenant's ceilings, times to its longest."""

    snapshot: Id | None = None
    limits: dict[str, Any] = {}
    budget: BudgetForm | None = None
    tools: Annotated[list[ToolForm], Field(max_length=128)] = []
    durable: Annotated[str, Field(pattern=r"^(run|idle|never)$")] | None = None
    idle: Seconds | None = None
    life: Seconds | None = None
    labels: Annotated[dict[str, str], Field(max_length=16)] = {}


class RenewForm(_Body):
    """New times of a session; its life begins anew."""

    idle: Seconds | None = None
    life: Seconds | None = None


class RunForm(_Body):
    """A program to run. ``id`` is the client's: sent again, the run is not run again, but returned."""

    code: str
    id: Id | None = None
    stdin: str | None = None
    limits: dict[str, Any] = {}
    events: bool = False
    """Whether to keep what happens as events, for those who follow the run later; so it is for a stream."""


class AnswerForm(_Body):
    """What a call gives its program: a ``value``, or an ``error`` with ``type`` and ``message``."""

    value: Any = None
    error: dict[str, str] | None = None


class SuspendedAnswer(AnswerForm):
    """An answer to a suspended program's call; or ``approve``, or ``deny`` with a reason."""

    approve: bool | None = None
    deny: str | None = None


class ResumeForm(_Body):
    """A suspended program's token, and answers by the number of the call."""

    token: Annotated[str, Field(max_length=2_048)]
    answers: dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], SuspendedAnswer] = {}


class ForkForm(_Body):
    """How many forks."""

    count: Annotated[int, Field(ge=1, le=_MAX_FORKS)] = 1


class ValueForm(_Body):
    """A value, as JSON or marked; see the guide."""

    value: Any


# Bodies that arrive.


async def read_body(request: "Request", limit: int, seconds: float) -> bytes:
    """Return the body. Raises Problem for one that is larger, by what it says or what arrives, or too slow."""
    declared = request.headers.get("content-length")
    if declared is not None and (not declared.isdecimal() or len(declared) > 15 or int(declared) > limit):
        raise _too_large(limit)
    message = await request.receive() if not declared else await _next(request, seconds)
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit:
            raise _too_large(limit)
        request.state.whole = True
        return body
    pieces, size = [body], len(body)
    try:
        async with asyncio.timeout(seconds):
            while message.get("more_body"):
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "bad_request", "the client left before its request was whole")
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise Problem(408, "too_slow", f"the body did not arrive within {seconds:.3g} s") from None
    request.state.whole = True
    return b"".join(pieces)


async def read_parts(request: "Request", body: bytes, max_files: int) -> list[tuple[str, bytes]]:
    """Return the files of a form, ``multipart/form-data``, by name: its body is here already. Raises Problem."""
    from starlette.formparsers import MultiPartException, MultiPartParser

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(request.headers, stream(), max_files=max_files, max_fields=16)
    # In memory, where the body is too.
    parser.spool_max_size = len(body) + 1
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise Problem(400, "bad_request", f"the form cannot be read: {str(error)[:200]}") from None
    files = [each for _, each in form.multi_items() if not isinstance(each, str)]
    return [(each.filename or "", await each.read()) for each in files]


async def _next(request: "Request", seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds):
            return await request.receive()
    except TimeoutError:
        raise Problem(408, "too_slow", f"the body did not arrive within {seconds:.3g} s") from None


def _too_large(limit: int) -> Problem:
    return Problem(413, "body_too_large", f"the body is larger than {limit:,} bytes", remedy="send less at once")


class Endpoint(NamedTuple):
    """A route of a protocol that the application mounts; see ``Api.guarded``."""

    method: str
    path: str
    name: str
    handler: Callable[[Any, "Request"], Any]
    tenant_of: Callable[["Request"], Any] | None = None
    refuse: Callable[[Problem], Any] | None = None


# Results and errors.


def error_form(error: BaseException) -> dict[str, Any]:
    """Return an error of the tree as a form: its class, its text, and the numbers it was made of."""
    form: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, ClocheError):
        form["args"] = [to_form(each) for each in error.args]
    return form


def error_of(form: dict[str, Any]) -> ClocheError:
    """Return the error of a form; a GuestError with its text where the class is not known here."""
    name = str(form.get("type"))
    kind = getattr(errors, name, None) if name in errors.__all__ else None
    if kind is not None and isinstance(form.get("args"), list):
        try:
            error = kind(*from_form(form["args"]))
        except (TypeError, ValueError):
            error = None
        if isinstance(error, ClocheError):
            return error
    return GuestError(f"{name}: {form.get('message')}")


def limits_form(limits: Limits) -> dict[str, Any]:
    """Return limits by name."""
    return {name: getattr(limits, name) for name in LIMITS}


def limits_of(form: dict[str, Any]) -> Limits:
    """Return the limits of a form. Raises ConfigurationError."""
    return Limits(**form)


def _call_form(record: ToolCallRecord) -> dict[str, Any]:
    form = {"name": record.name, "outcome": record.outcome, "seconds": record.seconds}
    return form if record.error is None else form | {"error": type(record.error).__name__}


def calls_form(records: list[ToolCallRecord]) -> list[dict[str, Any]]:
    """Return calls by name and outcome; their arguments and values are the host's own and stay there."""
    return [_call_form(record) for record in records]


def result_form(result: Result[Any]) -> dict[str, Any]:
    """Return a result as a form; a value that cannot leave the guest is under ``shown``, with the ``reason``."""
    form: dict[str, Any] = {
        "value": None,
        "error": None if result.error is None else error_form(result.error),
        "stdout": result.stdout,
        "stderr": result.stderr,
        "usage": result.usage._asdict(),
        "calls": calls_form(result.calls),
        "rolled_back": result.rolled_back,
        "exit_code": result.exit_code,
    }
    if result.displays:
        form["displays"] = [{"kind": each.kind, "data": to_form(each.data)} for each in result.displays]
    if isinstance(result.value, ValueRepr):
        form["shown"], form["reason"] = str(result.value), result.value.reason
    else:
        form["value"] = to_form(result.value)
    return form


def result_of(form: dict[str, Any]) -> Result[Any]:
    """Return the result that a server described. Raises ValueError for what is none."""
    value = ValueRepr(form["shown"], form["reason"]) if "shown" in form else from_form(form["value"])
    error: Any = None if form["error"] is None else error_of(form["error"])
    calls = [record_of(each) for each in form["calls"]]
    usage = Usage(**form["usage"])
    displays = tuple(Display(each["kind"], from_form(each["data"])) for each in form.get("displays", ()))
    texts = form["stdout"], form["stderr"]
    return Result(value, error, *texts, usage, calls, form["rolled_back"], form["exit_code"], displays)


def record_of(form: dict[str, Any]) -> ToolCallRecord:
    """Return a call's record, without arguments and value."""
    record = ToolCallRecord(form["name"], [], {})
    record.outcome, record.seconds = form["outcome"], form["seconds"]
    return record


# Frames between the gateway and its workers.

_HEAD = struct.Struct(">I")
_msgpack: Any = msgpack
"""The package's stubs know neither these functions' names nor their options."""


def _pack(message: list[Any]) -> bytes:
    packed: bytes = _msgpack.packb(message, unicode_errors="surrogatepass")
    return packed


def _unpack(data: memoryview) -> list[Any]:
    message: list[Any] = _msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogatepass")
    return message


class Channel(asyncio.Protocol):
    """One end of a socket between two of the server's processes: messages as msgpack, each behind its length.

    ``on_message`` is called with each message, ``on_lost`` once when the other end is gone.
    """

    def __init__(self, on_message: Callable[[list[Any]], None], on_lost: Callable[[], None]) -> None:
        self._on_message, self._on_lost = on_message, on_lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take in bytes, and hand over each message that is whole."""
        buffer = self._buffer
        buffer += data
        start, end = 0, len(buffer)
        while end - start >= _HEAD.size:
            (length,) = _HEAD.unpack_from(buffer, start)
            if length > MAX_FRAME:
                self.close()
                return
            if end - start - _HEAD.size < length:
                break
            start += _HEAD.size
            message = _unpack(memoryview(buffer)[start : start + length])
            start += length
            self._on_message(message)
        del buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so."""
        self._transport = None
        self._on_lost()

    def send(self, message: list[Any]) -> None:
        """Send a message; one to an end that is gone is dropped, as ``on_lost`` says."""
        body = _pack(message)
        if self._transport is not None:
            self._transport.write(_HEAD.pack(len(body)) + body)

    def close(self) -> None:
        """Close the socket, after what was sent."""
        if self._transport is not None:
            self._transport.close()
