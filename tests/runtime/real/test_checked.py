"""The real image through wasmtime's public API and through the unchecked calls: the same answers, fuel and ends."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.runtime.checked import CheckedImage

from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.wasm.image import DEFAULT_IMAGE
from cloche.runtime.wasm.machine import ImageSource

from .functions import Functions


def checked_source() -> ImageSource:
    return ImageSource(CheckedImage(DEFAULT_IMAGE))


def add(a: int, b: int) -> int:
    return a + b


def fail() -> None:
    raise LookupError("no")


PROGRAMS = [
    "x = 1",
    "[i ** 2 for i in range(1_000)]",
    "print('é' * 10_000)\nadd(1, 2)",
    "fail()",
    "import random, os, time\n(random.random(), os.urandom(4), time.time())",
    "import asyncio\nawait asyncio.gather(*(asyncio.to_thread(add, 1, i) for i in range(1)))",
    "while True: pass",
    "while True: print('x')",
    "while True: add(1, 1)",
    "x = bytearray(1 << 30)",
    "t = ()\nfor _ in range(60_000): t = (t,)\nhash(t)",
    "import _cloche\n_cloche.call(b'')",
    "import time\ntime.sleep(5)\ntime.time()",
    "'x' * 100_000",
    "def f(): f()\nf()",
]


def seen(result: Result[Any]) -> tuple[Any, ...]:
    calls = [(call.name, call.args, call.value, call.outcome) for call in result.calls]
    error = (type(result.error), str(result.error))
    return result.value, error, result.stdout, result.stderr, calls, result.usage.fuel, result.usage.memory_peak


@pytest.mark.parametrize("code", PROGRAMS)
def test_both_ways_do_the_same(code: str) -> None:
    def run(make: Callable[[], ImageSource]) -> list[tuple[Any, ...]]:
        limits = Limits(fuel=300_000_000, output=10_000, calls=20, result=50_000)
        box = Sandbox(tools=Functions(add, fail), seed=1, clock=1_000, limits=limits, source=make())
        with box.session() as session:
            return [seen(session.run(step)) for step in ("kept = 41", "kept = 0\n" + code, "kept", code)]

    assert run(checked_source) == run(ImageSource)
