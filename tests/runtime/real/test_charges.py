"""The shipped image with charges: no program computes for ever, and what it computes is the same."""

from pathlib import Path

import pytest
from tests.runtime.charges import check

from cloche.runtime.errors import FuelExhausted, TimeExceeded
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.wasm.charging import charged
from cloche.runtime.wasm.image import DEFAULT_IMAGE

BOX, ENGINE = Sandbox(), Sandbox(metering="engine")


def test_the_image_cannot_run_without_charges() -> None:
    report = check(charged(Path(DEFAULT_IMAGE).read_bytes()))
    assert min(report.loops, report.leaf_loops, report.entries, report.spans) > 1_000
    assert report.between <= 400_000


PROGRAMS = {
    "loop": "sum(i * i for i in range(20_000))",
    "json": "import json\njson.dumps([{'a': i, 'b': str(i)} for i in range(300)])",
    "re": "import re\nre.sub(r'(\\w+) (\\w+)', r'\\2 \\1', 'some words of a text ' * 200)",
    "big": "str(3 ** 4_000 // 7 ** 1_000)",
    "sort": "sorted(range(5_000), key=lambda n: (n * 7919) % 1_013)[:50]",
    "copy": "len(bytes(5_000_000) + b'x') - bytearray(1_000_000).count(0)",
    "error": "def f(n): return f(n + 1)\ntry: f(0)\nexcept RecursionError as error: print(type(error))",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_meterings_compute_the_same(name: str) -> None:
    ours, again, theirs = BOX.run(PROGRAMS[name]), BOX.run(PROGRAMS[name]), ENGINE.run(PROGRAMS[name])
    assert (
        (ours.value, ours.stdout, ours.error)
        == (theirs.value, theirs.stdout, theirs.error)
        == (again.value, again.stdout, None)
    )
    assert ours.usage.fuel is not None
    assert theirs.usage.fuel is not None
    assert ours.usage.fuel == again.usage.fuel
    # One unit is about one instruction in both; a copy costs ours by its length, and theirs nothing.
    assert 0.4 < ours.usage.fuel / theirs.usage.fuel < 2.5


ENDLESS = {
    "while": "while True: pass",
    "sum": "sum(range(10 ** 12))",
    "power": "3 ** (10 ** 8)",
    "regex": "import re\nre.match('(a+)+$', 'a' * 50 + 'b')",
    "repr": "x = []\nfor _ in range(90): x = [x, x]\nrepr(x)",
    "hash": "x = ()\nfor _ in range(90): x = (x, x)\nhash(x)",
    "equal": "x, y = [], []\nfor _ in range(90): x, y = [x, x], [y, y]\nx == y",
    "copies": "x = bytes(40_000_000)\nwhile True: bytearray(x)",
    "iter": "list(zip(iter(int, 1), iter(int, 2)))[0] if False else any(iter(int, 1))",
    "sort": "class A:\n  def __lt__(self, other): return sorted([A(), A()]) < []\nsorted([A(), A()])",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_every_program_ends_by_fuel_at_the_same_place(name: str) -> None:
    limits = Limits(fuel=100_000_000, time=None)
    error = BOX.run(ENDLESS[name], limits=limits).error
    # Recursion may be over before.
    assert isinstance(error, FuelExhausted) or name == "sort"


@pytest.mark.parametrize("name", ENDLESS)
def test_every_program_ends_by_time(name: str) -> None:
    result = BOX.run(ENDLESS[name], limits=Limits(fuel=None, time=0.2))
    assert isinstance(result.error, TimeExceeded) or name == "sort"
    # What was used is known after a deadline, too.
    assert result.usage.fuel is not None
    assert result.usage.fuel > 100_000
