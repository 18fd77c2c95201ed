"""What one run may use. Every limit is on unless it is switched off by name."""

from dataclasses import dataclass, fields
from typing import Any, TypedDict, Unpack

from cloche.runtime.sizes import parse_count, parse_seconds, parse_size

__all__ = ["LimitChanges", "Limits"]

_MIB = 1 << 20
# A 32-bit memory has 65,536 pages; the last one stays out of reach so that no address ever wraps.
_MOST_MEMORY = (1 << 32) - (1 << 16)
# Lengths travel as 32-bit numbers.
_MOST_BYTES = (1 << 31) - 1
_MOST_COUNT = (1 << 53) - 1


class LimitChanges(TypedDict, total=False):
    """The names and types that :class:`Limits` and :meth:`Limits.replace` accept."""

    fuel: int | None
    memory: int | str
    time: float | None
    output: int | str
    calls: int | None
    result: int | str
    argument: int | str
    files: int
    file_bytes: int | str
    message: int
    traceback: int
    pending: int


@dataclass(frozen=True, slots=True, init=False)
class Limits:
    """The limits of one run; an immutable value, checked when it is made.

    Sizes are bytes, given as an int or as text like ``"256 MiB"``. ``None`` means unlimited and is accepted only
    by ``fuel``, ``time`` and ``calls``: each of them is safe to lift while another still ends the run. The other
    limits protect the host's memory and cannot be lifted, only raised.

    ``fuel``        Wasmtime's fuel, roughly one per WebAssembly instruction; default 5,000,000,000.
    ``memory``      bytes of the guest's linear memory, its interpreter (about 30 MB) included; default 256 MiB.
    ``time``        seconds of wall time, tool calls, sleeps and output included; default 10.
    ``output``      bytes on stdout, and as many on stderr; default 1 MiB.
    ``calls``       tool calls in one run; default 1,000.
    ``result``      encoded bytes of the run's value, and of what one tool answers; default 4 MiB. A hostile guest
                    can make the host's copy up to 64 times larger than that.
    ``argument``    encoded bytes of one tool call's arguments; default 4 MiB.
    ``files``       files and folders the program may add; default 10,000.
    ``file_bytes``  bytes in those files; default 64 MiB.
    ``message``     characters of an exception's message; default 16,384.
    ``traceback``   characters of a traceback; default 65,536.
    ``pending``     tool calls waiting at once in the background; default 256.

    Raises ConfigurationError naming the field and what to write.
    """

    fuel: int | None
    memory: int
    time: float | None
    output: int
    calls: int | None
    result: int
    argument: int
    files: int
    file_bytes: int
    message: int
    traceback: int
    pending: int

    def __init__(
        self,
        *,
        fuel: int | None = 5_000_000_000,
        memory: int | str = 256 * _MIB,
        time: float | None = 10.0,
        output: int | str = _MIB,
        calls: int | None = 1_000,
        result: int | str = 4 * _MIB,
        argument: int | str = 4 * _MIB,
        files: int = 10_000,
        file_bytes: int | str = 64 * _MIB,
        message: int = 16_384,
        traceback: int = 65_536,
        pending: int = 256,
    ) -> None:
        self._set("fuel", None if fuel is None else parse_count("fuel", fuel, most=(1 << 62)))
        self._set("memory", parse_size("memory", memory, least=_MIB, most=_MOST_MEMORY))
        self._set("time", None if time is None else parse_seconds("time", time))
        self._set("output", parse_size("output", output, least=0, most=_MOST_BYTES))
        self._set("calls", None if calls is None else parse_count("calls", calls, least=0, most=_MOST_COUNT))
        self._set("result", parse_size("result", result, least=64, most=_MOST_BYTES))
        self._set("argument", parse_size("argument", argument, least=64, most=_MOST_BYTES))
        self._set("files", parse_count("files", files, least=0, most=_MOST_BYTES))
        self._set("file_bytes", parse_size("file_bytes", file_bytes, least=0, most=_MOST_BYTES))
        self._set("message", parse_count("message", message, least=64, most=_MOST_BYTES))
        self._set("traceback", parse_count("traceback", traceback, least=64, most=_MOST_BYTES))
        self._set("pending", parse_count("pending", pending, most=10_000))

    def _set(self, name: str, value: int | float | None) -> None:
        object.__setattr__(self, name, value)

    def replace(self, **changes: Unpack[LimitChanges]) -> "Limits":
        """Return these limits with some of them changed. Raises ConfigurationError like the constructor."""
        return Limits(**(self._as_changes() | changes))

    def guest_caps(self) -> dict[str, int]:
        """Return the caps that the guest applies by itself, under the names it knows; the host applies them again."""
        return {
            "files": self.files,
            "bytes": self.file_bytes,
            "message": self.message,
            "result": self.result,
            "argument": self.argument,
            "traceback": self.traceback,
        }

    def _as_changes(self) -> Any:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (self._as_changes(),))


def _restore(values: LimitChanges) -> Limits:
    return Limits(**values)
