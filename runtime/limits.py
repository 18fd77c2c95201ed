"""What one run may use, and what all runs of a session may use together.

Every limit is on unless it is switched off by name.
"""

import re
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

from cloche.runtime.dataclass import dataclass
from cloche.runtime.errors import BudgetSpent, ConfigurationError
from cloche.runtime.result import Usage

__all__ = [
    "LIMITS",
    "METERINGS",
    "LimitChanges",
    "LimitRow",
    "Limits",
    "Metering",
    "MeteringMode",
    "SessionBudget",
    "Spent",
    "parse_count",
    "parse_seconds",
    "parse_size",
]


_UNITS = {
    "": 1,
    "b": 1,
    "byte": 1,
    "bytes": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
# At most 18 digits before the point: int() of hostile text stays cheap, and every sensible size fits.
_SIZE = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([A-Za-z]*)\s*")
_HOW = "write bytes as an int, or text like '256 MiB' (units: KiB, MiB, GiB, KB, MB, GB)"
_MAX_SECONDS = 366 * 24 * 3600.0


def parse_size(field: str, value: Any, *, maximum: int, minimum: int = 1) -> int:
    """Return a size in bytes from an int or from text with a unit.

    Raises ConfigurationError naming ``field`` if it is not a size, or not between ``minimum`` and ``maximum``.
    """
    size = _size_of_text(field, value) if isinstance(value, str) else value
    return _between(field, size, minimum, maximum, _HOW)


def parse_count(field: str, value: Any, *, maximum: int, minimum: int = 1) -> int:
    """Return a whole number between ``minimum`` and ``maximum``, or raise ConfigurationError naming ``field``."""
    return _between(field, value, minimum, maximum, "write a whole number")


def parse_seconds(field: str, value: Any) -> float:
    """Return seconds above 0 and up to a year, or raise ConfigurationError naming ``field``."""
    how = "write seconds as a number above 0, or None for no limit"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(field, f"{_shown(value)} is not a number of seconds: {how}")
    # A nan is not between any two numbers.
    if not 0 < value <= _MAX_SECONDS:
        raise ConfigurationError(field, f"{_shown(value)} is not between 0 and {_MAX_SECONDS:.0f}: {how}")
    return float(value)


def _size_of_text(field: str, text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ConfigurationError(field, f"{_shown(text)} is not a size: {_HOW}")
    number, unit = found.groups()
    factor = _UNITS.get(unit.lower())
    if factor is None:
        raise ConfigurationError(field, f"{_shown(text)} has the unknown unit {unit[:20]!r}: {_HOW}")
    return round(float(number) * factor) if "." in number else int(number) * factor


def _between(field: str, value: Any, minimum: int, maximum: int, how: str) -> int:
    # bool is an int in Python, but True is not a size.
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(field, f"{_shown(value)} is not a whole number: {how}")
    if not minimum <= value <= maximum:
        raise ConfigurationError(field, f"{_shown(value)} is not between {minimum} and {maximum}: {how}")
    return value


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an int of {value.bit_length()} bits"
    return repr(value)[:60]


_MIB = 1 << 20
# A 32-bit memory has 65,536 pages; the last one stays out of reach so that no address ever wraps.
_MAX_MEMORY = (1 << 32) - (1 << 16)
# Lengths travel as 32-bit numbers.
_MAX_BYTES = (1 << 31) - 1
_MAX_COUNT = (1 << 53) - 1


@dataclass(frozen=True, slots=True)
class LimitRow:
    """What one limit is: everything about it but its default, which stands in the signature of :class:`Limits`.

    ``kind``      ``"size"`` is bytes, and text with a unit is taken too.
    ``about``     what it counts, in one line.
    ``minimum``  and ``maximum``: the values that it may have; of seconds the minimum is any above 0.
    ``liftable``  whether it may be None, no limit.
    ``in_guest``  the name under which the guest applies it by itself; empty where only the host does.
    """

    kind: Literal["count", "size", "seconds"]
    about: str
    minimum: int
    maximum: int
    liftable: bool = False
    in_guest: str = ""

    def parsed(self, name: str, value: Any) -> int | float | None:
        """Return the limit's value. Raises ConfigurationError naming the limit."""
        if value is None and self.liftable:
            return None
        if self.kind == "seconds":
            return parse_seconds(name, value)
        parse = parse_size if self.kind == "size" else parse_count
        return parse(name, value, minimum=self.minimum, maximum=self.maximum)


LIMITS = {
    "fuel": LimitRow("count", "units of fuel, roughly WebAssembly instructions", 1, 1 << 62, liftable=True),
    "memory": LimitRow("size", "linear memory, the interpreter's 30 MB included", _MIB, _MAX_MEMORY),
    "time": LimitRow("seconds", "seconds of wall time, tool calls included", 0, int(_MAX_SECONDS), liftable=True),
    "output": LimitRow("size", "bytes on stdout, and as many on stderr", 0, _MAX_BYTES),
    "calls": LimitRow("count", "tool calls", 0, _MAX_COUNT, liftable=True),
    "result": LimitRow("size", "encoded bytes of the value", 64, _MAX_BYTES, in_guest="result"),
    "displays": LimitRow("size", "bytes of what is shown: figures, rich values", 0, _MAX_BYTES, in_guest="displays"),
    "argument": LimitRow("size", "encoded bytes of one call's arguments", 64, _MAX_BYTES, in_guest="argument"),
    "files": LimitRow("count", "files and folders the program may add", 0, _MAX_BYTES, in_guest="files"),
    "file_bytes": LimitRow("size", "bytes in those files", 0, _MAX_BYTES, in_guest="bytes"),
    "message": LimitRow("count", "characters of an exception's message", 64, _MAX_BYTES, in_guest="message"),
    "traceback": LimitRow("count", "characters of a traceback", 64, _MAX_BYTES, in_guest="traceback"),
    "pending": LimitRow("count", "tool calls waiting at once", 1, 10_000),
    "host_memory": LimitRow("size", "host memory of what the run sends and prints, decoded", _MIB, _MAX_BYTES),
}
"""Every limit by name: the constructor, the caps of the guest and the flags of the command line follow this table."""


Metering = Literal["fuel", "engine", "epoch", "none"]
"""How an engine bounds computing; :data:`METERINGS` says what each can do."""


class MeteringMode(NamedTuple):
    """What a metering can do: count a run's fuel, and interrupt a program that computes, as time limits need it.

    ``charges`` says that it does both by code of our own in the guest, and not by the engine's.
    """

    counts_fuel: bool
    interrupts: bool
    charges: bool
    about: str


METERINGS: dict[Metering, MeteringMode] = {
    "fuel": MeteringMode(True, True, True, "what is computed is counted: repeatable, and the default"),
    "engine": MeteringMode(True, True, False, "the same by Wasmtime's own fuel and epochs: slower, and in other units"),
    "epoch": MeteringMode(False, True, False, "only time is bounded, by epochs: the limit of fuel is not applied"),
    "none": MeteringMode(False, False, False, "for benchmarks only: neither fuel nor time end a program that computes"),
}
"""Every metering by name: the engine, the machines and the flags of the command line follow this table."""


class LimitChanges(TypedDict, total=False):
    """The names and types that :class:`Limits` and :meth:`Limits.replace` accept."""

    fuel: int | None
    memory: int | str
    time: float | None
    output: int | str
    calls: int | None
    result: int | str
    displays: int | str
    argument: int | str
    files: int
    file_bytes: int | str
    message: int
    traceback: int
    pending: int
    host_memory: int | str


@dataclass(frozen=True, slots=True, init=False)
class Limits:
    """The limits of one run; an immutable value, checked when it is made.

    Sizes are bytes, given as an int or as text like ``"256 MiB"``. ``None`` means unlimited and is accepted only
    by ``fuel``, ``time`` and ``calls``. With ``time``, every run ends. Without it, fuel ends every program that
    computes, but not one that sleeps or waits for a tool, which costs no fuel. The other limits protect the host's
    memory and cannot be lifted, only raised.

    ``fuel``        Wasmtime's fuel, roughly one per WebAssembly instruction; default 300,000,000,000,
                    which no machine that we know computes in the default time.
    ``memory``      bytes of the guest's linear memory, its interpreter (about 30 MB) included; default 256 MiB.
    ``time``        seconds of wall time, tool calls, sleeps and output included; default 10.
    ``output``      bytes on stdout, and as many on stderr; default 1 MiB.
    ``calls``       tool calls in one run; default 1,000.
    ``result``      encoded bytes of the run's value, and of what one tool answers; default 4 MiB.
    ``displays``    bytes of what the run shows beside its output, such as figures; 0: none is drawn, nor closed;
                    default 8 MiB.
    ``argument``    encoded bytes of one tool call's arguments; default 4 MiB.
    ``files``       files and folders the program may add; default 10,000.
    ``file_bytes``  bytes in those files; default 64 MiB.
    ``message``     characters of an exception's message; default 16,384.
    ``traceback``   characters of a traceback; default 65,536.
    ``pending``     tool calls waiting at once in the background; default 256.
    ``host_memory`` bytes of the host's memory, beside the linear one, for what the run sends and prints: arguments,
                    values, waiting calls and output together, as they are once decoded; default 64 MiB. A nested
                    value takes many times its encoded bytes. Records of calls that are over give way to new ones.

    Raises ConfigurationError naming the field and what to write.
    """

    fuel: int | None
    memory: int
    time: float | None
    output: int
    calls: int | None
    result: int
    displays: int
    argument: int
    files: int
    file_bytes: int
    message: int
    traceback: int
    pending: int
    host_memory: int

    def __init__(
        self,
        *,
        fuel: int | None = 300_000_000_000,
        memory: int | str = 256 * _MIB,
        time: float | None = 10.0,
        output: int | str = _MIB,
        calls: int | None = 1_000,
        result: int | str = 4 * _MIB,
        displays: int | str = 8 * _MIB,
        argument: int | str = 4 * _MIB,
        files: int = 10_000,
        file_bytes: int | str = 64 * _MIB,
        message: int = 16_384,
        traceback: int = 65_536,
        pending: int = 256,
        host_memory: int | str = 64 * _MIB,
    ) -> None:
        given = {
            "fuel": fuel,
            "memory": memory,
            "time": time,
            "output": output,
            "calls": calls,
            "result": result,
            "displays": displays,
            "argument": argument,
            "files": files,
            "file_bytes": file_bytes,
            "message": message,
            "traceback": traceback,
            "pending": pending,
            "host_memory": host_memory,
        }
        for name, row in LIMITS.items():
            object.__setattr__(self, name, row.parsed(name, given[name]))

    def replace(self, **changes: Unpack[LimitChanges]) -> "Limits":
        """Return these limits with some of them changed. Raises ConfigurationError like the constructor."""
        return Limits(**(self._as_changes() | changes))

    def guest_caps(self) -> dict[str, int]:
        """Return the caps that the guest applies by itself, under the names it knows; the host applies them again."""
        return {row.in_guest: getattr(self, name) for name, row in LIMITS.items() if row.in_guest}

    def _as_changes(self) -> Any:
        return {name: getattr(self, name) for name in LIMITS}

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore_limits, (self._as_changes(),))


def _restore_limits(values: LimitChanges) -> Limits:
    return Limits(**values)


_MAX_TOTAL = (1 << 62) - 1


class Spent(NamedTuple):
    """What a session has used since it began, failed and rolled-back runs included.

    ``runs`` started, ``fuel`` units (0 where it is not metered), ``time`` seconds of wall time, ``output`` bytes and
    tool ``calls``. It is part of a snapshot, and a restored session or a fork counts on from there.
    """

    runs: int = 0
    fuel: int = 0
    time: float = 0.0
    output: int = 0
    calls: int = 0

    def with_run(self) -> "Spent":
        """Return it with one run more."""
        return Spent(self.runs + 1, self.fuel, self.time, self.output, self.calls)

    def plus(self, usage: Usage) -> "Spent":
        """Return it with what a run, or another request, has used."""
        return Spent(
            self.runs,
            self.fuel + (usage.fuel or 0),
            self.time + usage.wall,
            self.output + usage.output_bytes,
            self.calls + usage.calls,
        )


@dataclass(frozen=True, slots=True, init=False)
class SessionBudget:
    """What one session may use in all its runs together, beside the :class:`Limits` of each; None means unbounded.

    ``runs`` programs, ``fuel`` units, ``time`` seconds of wall time, ``output`` bytes on both streams together, and
    tool ``calls``. A run gets what is left where that is less than its limits; where nothing is left, BudgetSpent
    is raised and nothing is run. Restoring a session does not begin its budget anew.

    Raises ConfigurationError naming the field and what to write.
    """

    runs: int | None
    fuel: int | None
    time: float | None
    output: int | None
    calls: int | None

    def __init__(
        self,
        *,
        runs: int | None = None,
        fuel: int | None = None,
        time: float | None = None,
        output: int | str | None = None,
        calls: int | None = None,
    ) -> None:
        self._set("runs", None if runs is None else parse_count("runs", runs, maximum=_MAX_TOTAL))
        self._set("fuel", None if fuel is None else parse_count("fuel", fuel, maximum=_MAX_TOTAL))
        self._set("time", None if time is None else parse_seconds("time", time))
        self._set("output", None if output is None else parse_size("output", output, maximum=_MAX_TOTAL))
        self._set("calls", None if calls is None else parse_count("calls", calls, maximum=_MAX_TOTAL, minimum=0))

    def _set(self, name: str, value: float | None) -> None:
        object.__setattr__(self, name, value)

    def as_dict(self) -> dict[str, int | float]:
        """Return the bounds that there are, by name."""
        bounds = {name: getattr(self, name) for name in self.__match_args__}
        return {name: bound for name, bound in bounds.items() if bound is not None}

    def check(self, spent: Spent) -> None:
        """Raise BudgetSpent where nothing is left for another run."""
        for name, bound in self.as_dict().items():
            used = getattr(spent, name)
            # A program may run with no calls left, but not with no fuel.
            if used >= bound and name != "calls":
                raise BudgetSpent(name, used, bound)

    def within(self, limits: Limits, spent: Spent) -> Limits:
        """Return the limits of the next run: those given, or what is left of the budget where that is less."""
        left = {name: bound - getattr(spent, name) for name, bound in self.as_dict().items() if name != "runs"}
        return limits.replace(**_smaller(limits, left)) if left else limits

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_budget, (self.as_dict(),)


def _smaller(limits: Limits, left: dict[str, Any]) -> Any:
    """Return what is left where it is less than the limit."""
    now = {name: getattr(limits, name) for name in left}
    return {name: max(0, rest) for name, rest in left.items() if now[name] is None or rest < now[name]}


def _restore_budget(bounds: Any) -> SessionBudget:
    return SessionBudget(**bounds)
