"""What a run leaves behind, and the events that report it while it happens."""

import reprlib
import sys
from gc import get_referents
from itertools import islice
from os import PathLike, fspath
from types import FrameType
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar

from cloche.runtime.dataclass import dataclass, field
from cloche.runtime.errors import GuestError, GuestException, UnserializableValue, bytes_text, count_text
from cloche.runtime.work import discard

__all__ = [
    "CALL_COST",
    "DISPLAY_KINDS",
    "CallOutcome",
    "Display",
    "DisplayKind",
    "Event",
    "Finished",
    "OmittedError",
    "Output",
    "Result",
    "Stream",
    "ToolCallRecord",
    "ToolFinished",
    "ToolStarted",
    "Usage",
    "ValueRepr",
    "message_of",
]


T = TypeVar("T")

CALL_COST = 640
"""Bytes that a call's record takes, with the arguments and the value of a small one."""

_MUCH = 1 << 20

CallOutcome = Literal["running", "returned", "raised", "cancelled", "abandoned"]
"""How a tool call ended: ``abandoned`` means the run ended first and the tool is no longer waited for."""


class Usage(NamedTuple):
    """What one run used."""

    fuel: int | None
    """Units of fuel; None where the sandbox does not meter by fuel."""
    wall: float
    """Seconds from start to end, tool calls and sleeps included."""
    memory_peak: int
    """Bytes of linear memory at the end of the run, the interpreter included. Linear memory never shrinks."""
    output_bytes: int
    """Bytes written to stdout and stderr together."""
    calls: int
    """Tool calls, refused ones included."""

    def since(self, earlier: "Usage") -> "Usage":
        """Return what was used after ``earlier``, a usage of the same run."""
        fuel = None if self.fuel is None else self.fuel - (earlier.fuel or 0)
        output, calls = self.output_bytes - earlier.output_bytes, self.calls - earlier.calls
        return Usage(fuel, self.wall - earlier.wall, self.memory_peak, output, calls)

    def __str__(self) -> str:
        fuel = "fuel not metered" if self.fuel is None else f"{count_text(self.fuel)} fuel"
        return f"{fuel}, {self.wall * 1000:.3g} ms, {bytes_text(self.memory_peak)}, {self.calls} calls"


# Without slots, and with most fields left to the class until they change: one is made for each call, and setting ten
# slots takes twice as long.
@dataclass(eq=False)
class ToolCallRecord:
    """One call of a tool, as the host saw it.

    ``args`` and ``kwargs`` are the very objects that the tool was given, so what it changed in them shows here.
    ``value`` is what it returned; ``error`` the exception it raised, or why the call was refused, with the host's
    traceback on it: its lines, but not the variables of its functions. ``seconds`` is None while the call is running.
    """

    charge = CALL_COST
    """What it is counted for in the run's host memory, in bytes."""

    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    started: float = field(default=0.0, repr=False)
    """When the call began, on time.perf_counter()'s clock."""
    outcome: CallOutcome = field(default="running", init=False)
    value: Any = field(default=None, init=False)
    error: BaseException | None = field(default=None, init=False)
    seconds: float | None = field(default=None, init=False)
    trimmed: bool = field(default=False, init=False)
    """Whether arguments, value and what hangs on the error were left out, as the run took too much of the host's
    memory: see ``Limits(host_memory=...)``."""

    def end(self, outcome: CallOutcome, seconds: float) -> None:
        """Note how the call ended, once: what a tool does after its run ended is not written over the record."""
        if self.outcome == "running":
            self.outcome = outcome
            self.seconds = seconds

    def trim(self) -> None:
        """Drop the arguments, the value and what hangs on the error: nothing large is left alive by this record."""
        held = [self.args, self.kwargs, self.value]
        self.args, self.kwargs, self.value = [], {}, None
        # First, as it may hold the same.
        if self.error is not None:
            self.error = _alone(self.error)
        if self.charge > _MUCH:
            discard(held, self.charge)
        self.trimmed = True
        self.charge = CALL_COST

    def fail(self, error: BaseException) -> None:
        """Note what the call raised. The variables of the functions that it came through are let go.

        They would keep alive whatever the tool was given, for as long as the record is there.
        """
        self.error = error
        for each in _with_causes(error):
            traceback = each.__traceback__
            while traceback is not None:
                _clear(traceback.tb_frame)
                traceback = traceback.tb_next

    def let_go(self) -> None:
        """Let go of the variables of the functions that were still running when the call failed, and are not any more.

        Each frame of a traceback keeps those further up alive, and these hold the message that the call came in.
        """
        for each in () if self.error is None else _with_causes(self.error):
            frame = None if each.__traceback__ is None else each.__traceback__.tb_frame.f_back
            while frame is not None and _clear(frame):
                frame = frame.f_back

    def __repr__(self) -> str:
        return f"<ToolCallRecord {self.name} {self.outcome}>"


class ValueRepr(str):
    """The repr of a last value that cannot leave the guest: text of at most as many characters as an error's message.

    ``reason`` says why it cannot, with the place in it where that is a part.
    """

    __slots__ = ("reason",)
    reason: str

    def __new__(cls, text: str, reason: str) -> Self:
        """Return ``text`` with the reason."""
        shown = super().__new__(cls, text)
        shown.reason = reason
        return shown

    def __repr__(self) -> str:
        return str(self)

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (str(self), self.reason)


class OmittedError(Exception):
    """Stands in a trimmed record for an error that holds much: ``type_name`` and the beginning of its ``message``."""

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(type_name, message)
        self.type_name = type_name
        self.message = message

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}"


def message_of(error: BaseException) -> str:
    """Return an error's text; in short where it would spell a large value, empty where its class fails to say it."""
    try:
        if all(map(_is_short, error.args)):
            return str(error)
        return ", ".join(map(_SHOWN.repr, error.args))
    except Exception:
        return ""


def _is_short(value: object) -> bool:
    """Return whether a value is spelt at once: it has few parts, as far as can be seen from outside."""
    parts = [value]
    for _ in range(_LEVELS):
        containers: Any = [part for part in parts if type(part) in _CONTAINERS]
        if not containers or sum(map(len, containers)) > _MANY:
            return not containers
        parts = get_referents(*containers)
    return False


def _clear(frame: FrameType) -> bool:
    """Drop the variables of a function that is over; return whether it is."""
    if frame.f_code.co_flags & _RESUMABLE and not _REFUSES:
        # It may wait for something, and would be closed.
        return True
    try:
        frame.clear()
    except RuntimeError:
        return False
    return True


# CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR of inspect, which takes longer to import than a guest to start.
_RESUMABLE = 0x20 | 0x80 | 0x200
_REFUSES = sys.version_info >= (3, 13)
"""Whether a generator that waits refuses to be cleared."""
_CONTAINERS = frozenset({list, dict, tuple, set, frozenset})
_LEVELS = 32
_MANY = 5_000
_MAX_CAUSES = 32
_MAX_KEPT = 1_000
_PLAIN = frozenset({bool, float, type(None)})


def _with_causes(error: BaseException) -> list[BaseException]:
    """Return an error with those that it came from, and those in its group."""
    found = [error]
    for each in found:
        group: Any = each
        inside = group.exceptions if issubclass(type(each), BaseExceptionGroup) else ()
        others: list[BaseException | None] = [each.__cause__, each.__context__, *inside]
        for other in others:
            if other is not None and len(found) < _MAX_CAUSES and not any(other is known for known in found):
                found.append(other)
    return found


def _alone(error: BaseException) -> BaseException:
    """Return the error without traceback and causes, or what stands for one that holds more than a few short things."""
    if all(map(_is_small, (*error.args, *vars(error).values()))):
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return error
    return OmittedError(type(error).__name__, message_of(error)[:_MAX_KEPT])


def _is_small(value: object) -> bool:
    if isinstance(value, str | bytes):
        return len(value) <= _MAX_KEPT
    return type(value) in _PLAIN or (type(value) is int and value.bit_length() <= _MAX_KEPT)


DisplayKind = Literal["shown", "figure", "value"]
"""Why something is shown: by a call of the program, as a figure that was open at its end, or as its last value."""
DISPLAY_KINDS: tuple[DisplayKind, ...] = ("shown", "figure", "value")

_SUFFIXES = {
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/jpeg": "jpg",
    "text/html": "html",
    "text/markdown": "md",
    "text/latex": "tex",
    "application/json": "json",
    "text/plain": "txt",
}


@dataclass(frozen=True, slots=True)
class Display:
    """Something that a run shows beside its output, in one or more formats.

    ``kind``  ``"shown"`` by a call of the program, a ``"figure"`` that was open at its end, or its last ``"value"``.
    ``data``  its content by MIME type: ``image/png`` and ``image/jpeg`` as bytes; ``text/plain``, ``text/html``,
              ``text/markdown``, ``text/latex``, ``image/svg+xml`` and ``application/json`` as text. All of a run's
              displays together take at most ``Limits(displays=...)`` bytes.

    The program wrote all of it: HTML and SVG may hold scripts, so show them like a stranger's page, or not at all.
    """

    kind: DisplayKind
    data: dict[str, Any]

    @property
    def png(self) -> bytes | None:
        """The image, None if there is none, or what is called one does not begin like a PNG file."""
        image = self.data.get("image/png")
        return image if isinstance(image, bytes) and image.startswith(b"\x89PNG\r\n\x1a\n") else None

    @property
    def text(self) -> str:
        """What there is to read: Markdown, or plain text; empty if there is neither."""
        return str(self.data.get("text/markdown") or self.data.get("text/plain") or "")

    def save(self, folder: "str | PathLike[str]", name: str) -> list[str]:
        """Write each format into a folder, as ``name`` with the suffix that its type has. Return the paths.

        A format without a suffix of its own is left out, and plain text where there is another. Raises OSError.
        """
        written: list[str] = []
        for mime, content in self.data.items():
            if mime in _SUFFIXES and (mime != "text/plain" or len(self.data) == 1):
                path = f"{fspath(folder)}/{name}.{_SUFFIXES[mime]}"
                with open(path, "wb") as file:
                    file.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)
                written.append(path)
        return written

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Return what a notebook of the host may show: images and plain text, and nothing that could hold a script."""
        safe = {"text/plain": str(self.data.get("text/plain", "")), "image/png": self.png}
        return {mime: content for mime, content in safe.items() if content is not None}

    def __repr__(self) -> str:
        return f"<Display {self.kind}: {', '.join(self.data)}>"


# Not frozen, which would take longer to make than all of a short run's output.
@dataclass(eq=False, repr=False)
class Result(Generic[T]):
    """The outcome of one run.

    ``value``        the program's last expression, or None; None also after an error. Of one that cannot leave the
                     guest, such as a function, it is a :class:`ValueRepr`.
    ``error``        a GuestError if the program failed or was ended, else None.
    ``stdout``, ``stderr``  what the program printed, up to the moment it ended; invalid UTF-8 is replaced.
    ``usage``        what the run used.
    ``calls``        its tool calls in the order in which they began.
    ``rolled_back``  whether the session was put back to where this run began, because the run was ended by
                     a limit or a trap. An ordinary exception leaves the session as the program left it.
    ``exit_code``    the status with which the program ended itself, by ``sys.exit()``, ``exit()`` or SystemExit: 0 is
                     no error, and any other one is in ``error`` too. None if the program did not end itself.
    ``displays``     what it shows beside its output: a :class:`Display` for each call of ``display``, each figure of
                     matplotlib that it left open, and a last value with formats of its own, such as a frame of pandas.
    """

    value: T
    error: GuestError | None
    stdout: str
    stderr: str
    usage: Usage
    calls: list[ToolCallRecord]
    rolled_back: bool = False
    exit_code: int | None = None
    displays: tuple[Display, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the program ran to its end without an error."""
        return self.error is None

    @property
    def value_text(self) -> str:
        """The repr that the program itself gives its last value, where that is another one here; empty otherwise."""
        if isinstance(self.value, ValueRepr):
            return str(self.value)
        return next((str(each.data.get("text/plain", "")) for each in self.displays if each.kind == "value"), "")

    def unwrap(self) -> T:
        """Return the value, or raise the error; UnserializableValue for a value that could not leave the guest."""
        if self.error is not None:
            raise self.error
        if isinstance(self.value, ValueRepr):
            raise UnserializableValue(self.value.reason)
        return self.value

    def __repr__(self) -> str:
        what = f"value={_brief(self.value)}" if self.error is None else f"error={type(self.error).__name__}"
        printed = f", {len(self.stdout)} chars of stdout" if self.stdout else ""
        shown = f", {count_text(len(self.displays))} shown" if self.displays else ""
        back = ", rolled back" if self.rolled_back else ""
        return f"<Result {what}{printed}{shown}, {self.usage}{back}>"

    def __str__(self) -> str:
        """Show the value or the error, and what was printed, each in bounded length."""
        ended = f"value: {_SHOWN.repr(self.value)}"
        if self.error is not None:
            # What a program raised says its own type.
            kind = "" if isinstance(self.error, GuestException) else f"{type(self.error).__name__}: "
            ended = f"error: {_middle(f'{kind}{self.error}')}"
        printed = [(name, text) for name, text in (("stdout", self.stdout), ("stderr", self.stderr)) if text]
        shown = [f"display: {_middle(each.text.rstrip())}" for each in self.displays[:_MAX_DISPLAYS]]
        return "\n".join([ended, *(f"{name}: {_middle(text.rstrip())}" for name, text in printed), *shown])


class _BoundedRepr(reprlib.Repr):
    """The repr of a value, cut wherever it is long or deep."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = _MAX_SHOWN
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxarray = (
            self.maxdict
        ) = 20

    def repr1(self, x: Any, level: int) -> str:
        """Return the repr of any value."""
        # Not where `import cloche` would pay for it.
        from cloche.runtime.values.containers import NO_KEY, spelling

        spelt = spelling(x)
        if spelt is None:
            return super().repr1(x, level)
        if level <= 0:
            return f"{spelt.opening}...{spelt.closing}"
        parts = [
            f"{'' if key is NO_KEY else self.repr1(key, level - 1)}{before}{self.repr1(item, level - 1)}"
            for key, before, item in islice(spelt.parts, self.maxlist)
        ]
        more = ["..."] if len(x) > self.maxlist else []
        return f"{spelt.opening}{', '.join([*parts, *more])}{spelt.closing}"

    def repr_bytearray(self, x: bytearray, level: int) -> str:
        """Return the repr of its beginning."""
        return repr(x) if len(x) <= _MAX_SHOWN else f"{x[:_MAX_SHOWN]!r}..."

    def repr_ValueRepr(self, x: ValueRepr, level: int) -> str:
        """Return the text."""
        return _middle(x)

    def repr_int(self, x: int, level: int) -> str:
        """Return a large int's size: Python refuses to write down thousands of digits."""
        return _brief(x)


_MAX_SHOWN = 500
_MAX_DISPLAYS = 10
_SHOWN = _BoundedRepr()


def _middle(text: str) -> str:
    """Cut the middle out of a long text."""
    half = _MAX_SHOWN // 2
    return text if len(text) <= _MAX_SHOWN else f"{text[:half]} ... {text[-half:]}"


def _brief(value: object) -> str:
    # Never the whole value: a repr of a long list is as large as the list.
    if isinstance(value, ValueRepr):
        return _middle(value)
    if isinstance(value, str | bytes):
        return repr(value) if len(value) <= 40 else f"{value[:40]!r}... ({len(value)} long)"
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if value.bit_length() <= 128 else f"an int of {value.bit_length()} bits"
    return f"a {type(value).__name__}"


Stream = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class Output:
    """The program printed ``text`` (never empty). A character is never split over two events."""

    stream: Stream
    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool is about to be called. The same ``record`` comes back in :class:`ToolFinished`."""

    record: ToolCallRecord


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call ended; ``record`` has its outcome."""

    record: ToolCallRecord


@dataclass(frozen=True, slots=True)
class Finished:
    """The run ended. Always the last event, and always there, whatever the run did."""

    result: Result[Any]


Event = Output | ToolStarted | ToolFinished | Finished
