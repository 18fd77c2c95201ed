"""`pause`: what the manifest says about pausing a program: addresses, layouts, and what a pause costs.

A pause costs fuel that the program would not use without it, and the host gives it back. How much depends only on the
place and the circumstances in which the interpreter finds the request (pycore_suspend.h has their numbers), so it is
measured here, exactly: one program is run again and again, paused at its first check, at its first two, and so on.
Each time the memory is first brought back to where it was. The differences are equations in the costs, and a model
that is not exact would leave them without a solution.
"""

from __future__ import annotations

import ctypes
import json
import struct
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from statistics import mode
from typing import Any

from cloche.runtime.wasm import charging
from recipe import link, stdlib
from recipe.progress import progress
from recipe.stagehost import StageHost
from recipe.workspace import BuildError, digest_of, step

HERE = Path(__file__).parent
PROGRAM = HERE / "programs" / "paused.py"
WAITING = HERE / "programs" / "waiting.py"
HOWS = ("stayed", "asked", "called", "slept", "stayed_awake")
"""How a call goes whose answer comes later, by the guest's numbers (guest/c/cloche.h)."""
ROUNDS = 6
CALL = "main()\n"
"""How the first program ends, which is not done beside threads: it would take three times as long."""
BESIDE = """
import threading, time
threading.Thread(target=lambda: time.sleep(1e6), daemon=True).start()
calls(2)
counted(4)
long_jump(4)
for _ in produced(2):
    pass
"""
NAMES = ("breaker", "state", "counts", "current")
LAYOUT = (
    "previous",
    "executable",
    "instruction",
    "owner",
    "first_line",
    "line_table",
    "filename",
    "qualname",
    "code",
    "bytes_data",
    "text_data",
    "text_length",
)
HEAD = struct.Struct("<III")
BIT = 0x80
PAUSED = b"\x91\x03"
RESUMED = 0x8000
FRESH, TURN, CIRCUMSTANCES = 8, 16, 31
FUEL = 1 << 60
# Of a program that is traced, a pause does not always cost the same: these few units, of some 600.
SLACK = 64

Row = dict[tuple[str, int], int]
"""How often each thing happened, by its kind and the guest's number for it."""


def facts(host: StageHost) -> dict[str, int]:
    """What the guest says of itself, by name."""
    numbers = struct.unpack(f"<{len(NAMES) + len(LAYOUT)}I", host.read(host.call("cloche_bake_facts"), 64))
    return dict(zip((*NAMES, *LAYOUT), numbers, strict=True))


class Patient:
    """A guest that runs one program again and again from the same state."""

    def __init__(self, host: StageHost, program: str) -> None:
        self.host = host
        self.facts = facts(host)
        # As in the runtime, which asks once where small requests go.
        self._inbox = host.call("cloche_inbox", 0)
        self._size = host.memory.data_len(host.store)
        self._start = host.read(0, self._size)
        self.program(program)

    def program(self, text: str) -> None:
        """Run this program from now on."""
        code = text.encode()
        self.request = b"\x94\x01\xdb" + len(code).to_bytes(4, "big") + code + b"\xa7<run 1>\x80"

    def run(self, pauses: int, *, later: bool = False) -> tuple[int, list[Row]]:
        """The fuel of the program, paused at its first so many checks, and what was noted in each step.

        ``later`` has each call answered the second time that the guest asks; that it has left then is noted, too.
        """
        host = self.host
        rows: list[Row] = []
        # Not by the engine's own call, which would take longer than all the rest.
        ctypes.memmove(host.memory.data_ptr(host.store), self._start, self._size)
        host.output.clear()
        host.fuel, host.later = FUEL, later
        request, response = self.request, PAUSED
        while response == PAUSED:
            asked = len(rows) < pauses
            if asked:
                at = self.facts["breaker"]
                host.write(at, bytes([host.read(at, 1)[0] | BIT]))
            response = self._step(request)
            request = b""
            if asked or (later and response == PAUSED):
                rows.append(self._noted(response == PAUSED))
        if response[:2] != b"\x93\x00" or response[-1:] != b"\xc0":
            raise BuildError(f"the program that measures pauses failed: {response!r:.400} {bytes(host.output)!r:.400}")
        return FUEL - host.fuel, rows

    def _step(self, request: bytes) -> bytes:
        host = self.host
        host.write(self._inbox, request)
        packed = host.call("cloche_step", len(request))
        return host.read(packed >> 32, packed & 0xFFFFFFFF)

    def _noted(self, paused: bool) -> Row:
        """What the guest has noted, and forgets now."""
        at, counts, host = self.facts["state"], self.facts["counts"], self.host
        noted = host.read(at, HEAD.size + 4 * counts)
        host.write(at, bytes(len(noted)))
        host.write(self.facts["breaker"], bytes([host.read(self.facts["breaker"], 1)[0] & ~BIT]))
        _, wanted, site = HEAD.unpack_from(noted)
        passes = struct.unpack_from(f"<{counts}I", noted, HEAD.size)
        row: Row = {("pass", number): count for number, count in enumerate(passes) if count}
        if paused:
            row["pause", site] = 1
        if wanted:
            row["again", 0] = -1
        return row


def equations(patient: Patient, every: int = 1) -> Iterator[tuple[Row, int]]:
    """What one more pause adds, for each check of the program in turn."""
    before, _ = patient.run(0)
    pauses = 0
    while True:
        pauses += every
        fuel, rows = patient.run(pauses)
        total: Row = {}
        for row in rows[pauses - every :]:
            for key, count in row.items():
                total[key] = total.get(key, 0) + count
        yield total, fuel - before
        before = fuel
        if len(rows) < pauses or ("pause" not in {kind for kind, _ in rows[-1]}):
            return


def solve(given: list[tuple[Row, int]]) -> dict[tuple[str, int], int]:
    """The costs that fit all equations. Raises `BuildError` if there are none: then pauses are not what we think."""
    pivots: dict[tuple[str, int], tuple[dict[tuple[str, int], Fraction], Fraction]] = {}
    for row, total in given:
        left: dict[tuple[str, int], Fraction] = {key: Fraction(count) for key, count in row.items()}
        right = Fraction(total)
        for key in list(left):
            if key in pivots and left.get(key):
                factor = left[key]
                other, value = pivots[key]
                for name, count in other.items():
                    left[name] = left.get(name, Fraction(0)) - factor * count
                right -= factor * value
        left = {key: count for key, count in left.items() if count}
        if not left:
            if abs(right) > SLACK:
                raise BuildError(f"what a pause costs is not a function of its place: {row} costs {right} more")
            continue
        chosen = min(left)
        scale = left[chosen]
        new = {key: count / scale for key, count in left.items()}, right / scale
        for key, (other, value) in list(pivots.items()):
            factor = other.get(chosen, Fraction(0))
            if factor:
                merged = dict(other)
                for name, count in new[0].items():
                    merged[name] = merged.get(name, Fraction(0)) - factor * count
                pivots[key] = {k: c for k, c in merged.items() if c}, value - factor * new[1]
        pivots[chosen] = new
    return {key: round(value) for key, (_, value) in pivots.items()}


def completed(costs: Mapping[tuple[str, int], int], counts: int) -> dict[str, Any]:
    """The costs as the manifest has them. What no program reached costs what is usual in its circumstances."""
    passes = _filled(costs, "pass", 0, counts)
    pauses = _filled(costs, "pause", RESUMED, counts)
    # Whether the eval loop was resumed before makes the same difference everywhere.
    first = {number: cost for (of, number), cost in costs.items() if of == "pause" and not number & RESUMED}
    more = mode(cost - pauses[number | RESUMED] for number, cost in first.items())
    pauses |= {number: first.get(number, pauses[number | RESUMED] + more) for number in range(counts)}
    # No check: what is paused beside other threads is counted there.
    passes[counts - CIRCUMSTANCES - 1] = 0
    return {"pauses": pauses, "passes": passes, "again": costs.get(("again", 0), 0)}


def _filled(costs: Mapping[tuple[str, int], int], kind: str, flags: int, counts: int) -> dict[int, int]:
    known = {number: cost for (of, number), cost in costs.items() if of == kind and number & RESUMED == flags}
    filled: dict[int, int] = {}
    for number in range(flags, flags + counts):
        if number & TURN:
            # The check had something to do anyway: leaving it costs the same.
            filled[number] = filled[number & ~TURN]
            continue
        like = [cost for other, cost in known.items() if not (other ^ number) & CIRCUMSTANCES]
        like = like or [cost for other, cost in known.items() if not (other ^ number) & FRESH]
        filled[number] = known.get(number, mode(like or list(known.values())))
    return filled


def beside(patient: Patient, costs: Mapping[str, Any], counts: int) -> int:
    """What a pause costs more where there are other threads: one that could run again at any time, here.

    Raises `BuildError` unless it is the same nearly each time: until a thread has waited once, its frames are counted.
    """
    patient.program(f"{PROGRAM.read_text().removesuffix(CALL)}{BESIDE}")
    kinds = {"pause": costs["pauses"], "pass": costs["passes"], "again": {0: costs["again"]}}
    more = [
        total - sum(kinds[kind][number] * count for (kind, number), count in row.items())
        for row, total in equations(patient)
        if ("pass", counts - CIRCUMSTANCES - 1) in row
    ]
    usual: int = mode(more)
    if more.count(usual) * 2 < len(more) or not 0 <= usual <= SLACK:
        raise BuildError(f"what a pause costs beside threads is not the same each time: {more}")
    return usual


def waits(patient: Patient, pauses: Mapping[int, int]) -> list[int]:
    """What a call costs more whose answer comes later, in each way that it can go, beside the pause."""
    costs: list[int] = []
    for how, name in enumerate(HOWS):
        patient.program(f"{WAITING.read_text()}\n{name}({ROUNDS})\n")
        at_once, _ = patient.run(0)
        patient.host.collected.clear()
        later, rows = patient.run(0, later=True)
        paused = sum(pauses[number] for row in rows for of, number in row if of == "pause")
        cost, rest = divmod(later - at_once - paused, ROUNDS)
        if rest or patient.host.collected != [how] * ROUNDS:
            raise BuildError(f"a call that is answered later costs {cost} and {rest}/{ROUNDS}: {name}, {rows}")
        costs.append(cost)
    return costs


def measured() -> dict[str, Any]:
    """What the manifest says under `pause`. Raises `BuildError`."""

    def work(folder: Path) -> None:
        with progress("measure what a pause costs"):
            contents = stdlib.everything()
            host = stdlib.start(link.linked() / "guest.wasm", {**contents.packed, **contents.plain}, metered=True)
            stdlib.run(host, (HERE / "programs" / "bake.py").read_text())
            patient = Patient(host, PROGRAM.read_text())
            found = patient.facts
            costs = completed(solve(list(equations(patient))), found["counts"])
            costs["passes"][found["counts"] - CIRCUMSTANCES - 1] = beside(patient, costs, found["counts"])
            costs["waits"] = waits(patient, costs["pauses"])
        layout = {name: found[name] for name in ("current", *LAYOUT)}
        said = {name: found[name] for name in ("breaker", "state", "counts")}
        (folder / "pause.json").write_text(json.dumps({**said, "layout": layout, **costs}))

    own = [Path(part).read_bytes() for part in (__file__, PROGRAM, WAITING, charging.__file__)]
    folder = step("pause", digest_of(link.key(), *own), work)
    facts: dict[str, Any] = json.loads((folder / "pause.json").read_text())
    return facts
