"""Pauses asked for at moments between two checks: whatever the interpreter is at then, its fuel is given back exactly.

At a check the request is found before anything else has happened. Here it comes while the guest computes, as from
another thread, but at a moment that is a number of units of fuel.
"""

import random

import pytest
from tests.runtime.real.pausing.stepping import FUEL, MEMORY, SOURCE, TOOLS, World

from cloche.runtime.bridge.protocol import run_request
from cloche.runtime.machine_api import PAUSED
from cloche.runtime.wasm.machine import WasmMachine
from cloche.runtime.wasm.traps import Stopped

PROGRAM = """
ask(1)
def fresh(x):
    return [x, str(x)]
class Plain:
    def __init__(self, x):
        self.x = x
    def __repr__(self):
        return f"Plain({self.x})"
kept = []
for i in range(12):
    kept.append(fresh(i))
    kept.append((Plain(i), repr(Plain(i)), [j for j in range(3)]))
    exec("def another(y):\\n    return y + 1\\nanother(1)", {})
sum(fresh(i)[0] for i in range(5)), sorted(map(str, range(9)), key=lambda x: -int(x))
"""


class Asking(World):
    """Asks for a pause so many units after the first call."""

    machine: WasmMachine | None = None

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def call(self, frame: bytes) -> bytes:
        machine, self.machine = self.machine, None
        if machine is not None and self._after:
            machine.pause()
            meter = machine._guest.meter  # pyright: ignore[reportPrivateUsage]
            assert meter is not None
            meter.numbers[1] = max(0, meter.numbers[0] - self._after)
        return super().call(frame)


def run(after: int, limit: int = FUEL) -> tuple[int, bytes, int]:
    """Return fuel, response and pauses of the program, asked to pause at that moment; 0 for never."""
    world = Asking(after)
    machine = world.machine = SOURCE.new(world, MEMORY)
    machine.set_fuel(limit)
    response, pauses = machine.step(run_request(PROGRAM, "<run 1>", {"tools": TOOLS}), stack_checked=True), 0
    while response is PAUSED:
        pauses += 1
        machine.unpause()
        response = machine.step(b"", stack_checked=True)
    fuel = limit - machine.fuel_left()
    machine.close()
    return fuel, response, pauses


@pytest.mark.parametrize("part", range(4))
def test_fuel_is_the_same(part: int) -> None:
    usual, response, _ = run(0)
    moments = random.Random(part).sample(range(1, usual), 50)
    pauses = 0
    for moment in moments:
        # With no more than it needs: what leaving takes is lent.
        fuel, answer, count = run(moment, usual)
        assert (fuel, answer) == (usual, response), moment
        pauses += count
    assert pauses > 10


def test_what_is_lent_buys_no_more_computing() -> None:
    usual, _, _ = run(0)
    for after in (1, usual // 2, usual - 3_000, usual - 10):
        with pytest.raises(Stopped):
            run(after, usual - 1)
    for after in random.Random(9).sample(range(usual - 4_000, usual), 25):
        with pytest.raises(Stopped):
            run(after, usual - 1)
