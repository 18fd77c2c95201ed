"""Generated worst cases of the host's own work on guest bytes, and the long form that measures when each run ends.

``python -m tests.hostile.costs`` runs every case as a program that sends its message over and over, and looks at two
things: how long after its time limit the run ended, and how much the host's memory grew beyond the guest's own. It
wants an idle machine and takes about a quarter of an hour; ``--stages``, ``--cases`` and ``--time`` make it shorter.
"""

import argparse
import asyncio
import gc
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from tests.hostile.harness import MIB, peak_memory, reset_peak, resident

from cloche import Limits, Result, Sandbox, tool
from cloche.host_tools.call_log import MemoryLog
from cloche.host_tools.policy.guarded import GuardedTools
from cloche.host_tools.policy.policy import Policy

__all__ = ["STAGES", "Case", "messages"]

_SENT = 4_100_000
"""Bytes of arguments that each case sends: a little less than one call may have."""

UNITS: dict[str, tuple[bytes, int]] = {
    "small ints": (b"\x01", 1),
    "negative ints": (b"\xe0", 1),
    "None": (b"\xc0", 1),
    "bytes of ints": (b"\xcc\xff", 1),
    "wide ints": (b"\xcf" + b"\xfe" * 8, 1),
    "floats": (b"\xcb\x3f\xf1\x11\x11\x11\x11\x11\x11", 1),
    "empty text": (b"\xa0", 1),
    "letters": (b"\xa1z", 1),
    "short text": (b"\xa2zz", 1),
    "accents": (b"\xa2\xc3\xbf", 1),
    "emoji": (b"\xa5\xf0\x9f\x98\x80a", 1),
    "text of 31": (b"\xbf" + b"z" * 31, 1),
    "text of 40": (b"\xd9\x28" + b"z" * 40, 1),
    "text of 300": (b"\xda\x01\x2c" + b"z" * 300, 1),
    "wasteful text": (b"\xda\x00\x01z", 1),
    "empty bytes": (b"\xc4\x00", 1),
    "bytes of 2": (b"\xc4\x02zz", 1),
    "empty lists": (b"\x90", 1),
    "lists of one": (b"\x91\x01", 1),
    "lists in lists": (b"\x91" * 150 + b"\x90", 1),
    "wasteful lists": (b"\xdc\x00\x00", 1),
    "empty dicts": (b"\x80", 1),
    "dicts of one": (b"\x81\x01\x01", 1),
    "dicts in dicts": (b"\x81\x01" * 150 + b"\x80", 1),
    "full dicts": (b"\x8b" + bytes(itertools.chain.from_iterable((key, 0) for key in range(11))), 1),
    "tuples": (b"\x91\xc7\x00\x20", 1),
    "sets": (b"\x9f\xc7\x00\x21" + bytes(range(14)), 1),
    "big ints": (b"\xc7\x09\x01" + b"\x7f" * 9, 1),
    "decimals": (b"\xd4\x02" + b"7", 1),
    "fractions": (b"\xc7\x04\x03\x00\x01\x01\x03", 1),
    "paths": (b"\xc7\x07\x0a/a/b/c/", 1),
    "dates": (b"\xd7\xff" + b"\x00" * 8, 1),
    "records": (b"\x93\xc7\x00\x23\xa1R\x81\xa1a\x01", 1),
    "exceptions": (b"\x93\xc7\x00\x24\xa1E\xa1m", 1),
}
"""The encodings of small values, and how many values each is. Alone and in turn they fill the messages."""


@dataclass(frozen=True)
class Case:
    """A program that costs its host as much as it can: by a list of ``unit``, or by ``code`` of its own.

    The list has ``share`` of the bytes that an argument may have, and each unit so many ``values``.
    """

    name: str
    unit: bytes = b""
    values: int = 1
    share: float = 1.0
    tool: str = "take"
    make: Callable[[], Any] = list
    code: str = ""
    stream: bool = False
    after: Callable[[Result[Any]], object] = field(default=id)

    @property
    def body(self) -> str:
        """The expression that makes the list, in the guest."""
        count = self._count(_SENT)
        return f"b'\\xdd' + ({count * self.values}).to_bytes(4, 'big') + {self.unit!r} * {count}"

    def message(self, size: int) -> bytes:
        """Return the list as the host gets it, of so many bytes at the most."""
        count = self._count(size)
        return b"\xdd" + (count * self.values).to_bytes(4, "big") + self.unit * count

    def program(self) -> str:
        """Return the program."""
        if self.code:
            return self.code
        name = f"{bytes([0xA0 + len(self.tool)]) + self.tool.encode()!r}"
        frame = f"b'\\x94\\x00' + {name} + b'\\x91' + body + b'\\x80'"
        return f"import _cloche\nbody = {self.body}\nframe = {frame}\n{_SEND}"

    def _count(self, size: int) -> int:
        return max(1, int(size * self.share) // len(self.unit))


_SEND = """
while True:
    try:
        _cloche.call(frame)
    except Exception:
        pass
"""


def _pairs() -> Iterator[tuple[str, bytes, int]]:
    for name, (unit, values) in UNITS.items():
        yield name, unit, values
    pairs = list(itertools.combinations(UNITS, 2))
    random.Random(11).shuffle(pairs)
    for first, second in pairs:
        yield f"{first} and {second}", UNITS[first][0] + UNITS[second][0], UNITS[first][1] + UNITS[second][1]


_SHARES = (1.0, 0.25, 0.06)


def messages(count: int = 240) -> Iterator[Case]:
    """Yield cases of messages that are dear to look at, or to decode."""
    every = ((share, pair) for pair in _pairs() for share in _SHARES)
    for share, (name, unit, values) in itertools.islice(every, count):
        yield Case(f"{share:.0%} of {name}", unit, values, share, "unknown")


class Defaults(BaseModel):
    """A model that an empty dict makes."""

    a: int = 0
    b: str = ""
    inner: "Defaults | None" = None


class Other(BaseModel):
    """Another one."""

    z: list[int]


ANNOTATIONS: tuple[Any, ...] = (
    list[list[int]], list[list[Any]], list[int], list[float], list[str], list[Decimal], list[datetime], list[Defaults],
    list[Defaults | Other], list[dict[str, int]], dict[str, list[int]], list[tuple[int, ...]], list[set[int]],
    list[int | str | None], list[list[list[str]]], set[int], tuple[str, ...], list[Any] | dict[str, Any],
)  # fmt: skip


def _validated(annotation: Any) -> Callable[[], Any]:
    def make() -> Any:
        def take(value: Any) -> int:
            """Take it."""
            return 0

        take.__annotations__["value"] = annotation
        return [tool(blocking=False)(take)]

    return make


def validation(count: int = 240) -> Iterator[Case]:
    """Yield cases of arguments that pydantic has to look through."""
    units = ("empty lists", "empty dicts", "small ints", "letters", "lists of one", "negative ints", "floats", "tuples",
             "records", "paths", "lists in lists", "dicts of one", "decimals", "short text")  # fmt: skip
    for annotation, unit in itertools.islice(itertools.product(ANNOTATIONS, units), count):
        encoding, values = UNITS[unit]
        # As much as is decoded at all: what is refused for its size never comes this far.
        share = min(1.0, 0.9 * 64 * MIB / (_SENT / len(encoding) * (100 + 8 * len(encoding))))
        yield Case(f"{annotation} of {unit}", encoding, values, share, make=_validated(annotation))


def _guarded(redact: Sequence[str], *, fails: bool) -> Callable[[], Any]:
    def make() -> Any:
        @tool(blocking=False)
        def take(value: Any = None, **more: Any) -> Any:
            """Take it and give it back."""
            if fails:
                raise ValueError(value)
            return value

        return GuardedTools([take], {"take": Policy(redact=list(redact))}, log=MemoryLog(100))

    return make


def _recorded(redact: Sequence[str], count: int) -> Iterator[Case]:
    shares = (0.9, 0.3, 0.05)
    every = ((fails, share, pair) for pair in _pairs() for share in shares for fails in (False, True))
    for fails, share, (name, unit, values) in itertools.islice(every, count):
        what = "fails with" if fails else "returns"
        yield Case(f"{what} {share:.0%} of {name}", unit, values, share, make=_guarded(redact, fails=fails))


def records(count: int = 240) -> Iterator[Case]:
    """Yield cases of calls that are recorded in a log."""
    return _recorded((), count)


def redaction(count: int = 240) -> Iterator[Case]:
    """Yield cases of calls whose records are searched for secrets."""
    return _recorded(("value", "key", "zz"), count)


_PRINTED = ("a", "\u00e9", "\u20ac", "\U0001f600", "a\n", "\\x1b[31m", "\\ud800")


def rendering(count: int = 240) -> Iterator[Case]:
    """Yield cases of output in small pieces, of values and errors that are shown."""
    shown: list[Case] = []
    for text, size, streams in itertools.product(_PRINTED, (1, 7, 4_000), ("12", "1", "122")):
        code = f"import _cloche\ntext = ({text!r} * {size}).encode('utf-8', 'surrogatepass')\n"
        code += "while True:\n" + "".join(f"    _cloche.write({stream}, text)\n" for stream in streams)
        shown += [Case(f"writes {size} of {text!r} to {streams}, {stream=}", code=code, stream=stream)
                  for stream in (False, True)]  # fmt: skip
    for name, unit, values in itertools.islice(_pairs(), max(0, count - len(shown))):
        code = f"value = {Case(name, unit, values, 0.9).body}\nraise ValueError(value)"
        shown.append(Case(f"raises {name}", code=code, after=lambda result: (str(result), repr(result))))
    yield from shown[:count]


STAGES: dict[str, Callable[[int], Iterator[Case]]] = {
    "messages": messages,
    "validation": validation,
    "records": records,
    "redaction": redaction,
    "rendering": rendering,
}
"""What the host does with guest bytes, and the cases for each."""


async def _streamed(box: Sandbox, code: str) -> Result[Any]:
    async with box.session() as session:
        events = [event async for event in session.stream(code)]
    return events[-1].result  # type: ignore[union-attr]


def _measure(case: Case, seconds: float) -> tuple[float, int, str]:
    """Run a case, and return the seconds after its limit, the bytes beyond the guest's, and the error's type."""
    box = Sandbox(tools=case.make(), limits=Limits(time=seconds, fuel=None))
    box.run("1")
    gc.collect()
    before = resident()
    reset_peak()
    started = time.perf_counter()
    result = asyncio.run(_streamed(box, case.program())) if case.stream else box.run(case.program())
    case.after(result)
    late = time.perf_counter() - started - seconds
    grown = peak_memory() - before - result.usage.memory_peak
    return late, grown, type(result.error).__name__


def main() -> int:
    """Measure the cases. Returns 1 where one ended late, or took more memory than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=list(STAGES))
    parser.add_argument("--cases", type=int, default=240, help="of each stage (240)")
    parser.add_argument("--time", type=float, default=0.5, help="limit of each run in seconds (0.5)")
    parser.add_argument("--late", type=float, default=0.15, help="seconds after it that a run may end (0.15)")
    parser.add_argument("--memory", type=int, default=128, help="MiB that the host may grow (128)")
    options = parser.parse_args()
    failed = 0
    for stage in options.stages:
        measured: list[tuple[float, int]] = []
        for case in STAGES[stage](options.cases):
            late, grown, error = _measure(case, options.time)
            measured.append((late, grown))
            if late > options.late or grown > options.memory * MIB:
                failed += 1
                print(f"  {stage}: {case.name}: {late:+.3f} s, {grown / MIB:.0f} MiB, {error}", flush=True)
        ends, memory = zip(*measured, strict=True)
        print(
            f"{stage}: {len(measured)} cases, the latest {max(ends):+.3f} s after its limit, "
            f"at most {max(memory) / MIB:.0f} MiB beyond the guest's memory",
            flush=True,
        )
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
