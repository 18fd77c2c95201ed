"""Running snippets: values, state, await, sources."""

import linecache
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.guest.unit.conftest import FakeHost, Guest


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("", None),
        ("# nothing", None),
        ("1 + 1", 2),
        ("x = 1", None),
        ("x = 1\n", None),
        ("x = 1; x", 1),
        ("x = 2\nx", 2),
        ("x = y = 3\nx + y", 6),
        ("x == 1 if (x := 1) else 0", True),
        ("def f(a=2):\n    return a\nf(\na = 5)", 5),
        ("str('''\nx = 1''')", "\nx = 1"),
        ("for i in range(3):\n    i", None),
        ("'text'", "text"),
        ("x = 1\n'doc'", "doc"),
        ("from __future__ import annotations\n1", 1),
        ("[i async for i in a()] if False else 4", 4),
        ("import math; math.factorial(20)", 2432902008176640000),
        ("__name__", "__main__"),
        ("None", None),
    ],
)
def test_the_last_expression_is_the_value(guest: "Guest", code: str, value: Any) -> None:
    assert guest.run(code) == value


def test_state_lasts_between_runs(guest: "Guest") -> None:
    guest.run("import json\ndef double(x):\n    return x * 2\nn = 20")
    assert guest.run("json.dumps(double(n) + 2)") == "42"


def test_the_value_is_not_kept_in_underscore(guest: "Guest") -> None:
    guest.run("41")
    assert guest.fail("_")["type"] == "NameError"


def test_repeated_snippets_run_again(guest: "Guest") -> None:
    guest.run("n = 0")
    assert [guest.run("n += 1\nn") for _ in range(50)] == list(range(1, 51))


def test_more_snippets_than_the_cache_holds(guest: "Guest") -> None:
    assert [guest.run(f"{i} * 2") for i in range(400)] == [i * 2 for i in range(400)]
    assert guest.run("0 * 2") == 0


def test_sources_kept_are_bounded(guest: "Guest") -> None:
    for i in range(600):
        guest.run(f"n = {i}")
    assert sum(name.startswith("<run ") for name in linecache.cache) <= 256


def test_top_level_await(guest: "Guest") -> None:
    assert guest.run("import asyncio\nawait asyncio.sleep(0, 'slept')") == "slept"
    assert guest.run("x = await asyncio.sleep(0, 5)\nx + 1") == 6
    assert guest.run("[i async for i in agen()]" if False else "[await asyncio.sleep(0, i) for i in range(3)]") == [
        0,
        1,
        2,
    ]


def test_await_in_the_body_and_a_plain_last_expression(guest: "Guest") -> None:
    assert guest.run("import asyncio\ny = await asyncio.sleep(0, 4)\nz = y * 2\nz") == 8


def test_async_with_and_for_at_the_top_level(guest: "Guest") -> None:
    code = """
import asyncio
async def numbers():
    for i in range(3):
        yield i
out = []
async with asyncio.Lock():
    async for n in numbers():
        out.append(n)
out
"""
    assert guest.run(code) == [0, 1, 2]


def test_context_variables_hold_through_one_snippet(guest: "Guest") -> None:
    code = """
import asyncio, contextvars
var = contextvars.ContextVar('var', default=0)
var.set(7)
await asyncio.sleep(0)
var.get()
"""
    assert guest.run(code) == 7


def test_tasks_left_behind_are_cancelled(guest: "Guest") -> None:
    code = """
import asyncio
seen = []
async def forever():
    try:
        await asyncio.sleep(1e6)
    finally:
        seen.append('cancelled')
task = asyncio.create_task(forever())
await asyncio.sleep(0)
"""
    guest.run(code)
    assert guest.run("seen, task.cancelled()") == (["cancelled"], True)


def test_what_is_bound_to_the_loop_outlives_a_run(guest: "Guest") -> None:
    guest.run("import asyncio\nqueue = asyncio.Queue()\nawait queue.put(1)")
    assert guest.run("await queue.get()") == 1


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import sys; sys.exit(3)"])
def test_leaving_is_an_ordinary_error(guest: "Guest", code: str) -> None:
    error = guest.fail(code)
    assert (error["type"], error["message"], error["kind"]) == ("SystemExit", "3", "exception")
    assert guest.run("1") == 1


@pytest.mark.parametrize(
    "name", ["KeyboardInterrupt", "GeneratorExit", "BaseException", "MemoryError", "RecursionError"]
)
def test_no_exception_escapes(guest: "Guest", name: str) -> None:
    assert guest.fail(f"raise {name}('x')")["type"] == name
    assert guest.fail(f"import asyncio\nawait asyncio.sleep(0)\nraise {name}('x')")["type"] == name
    assert guest.run("2") == 2


def test_source_of_earlier_definitions_is_found(guest: "Guest") -> None:
    guest.run("def early():\n    return 'early'")
    guest.run("def late():\n    return 'late'")
    assert guest.run("import inspect\ninspect.getsource(early)") == "def early():\n    return 'early'\n"


def test_names_of_snippets_are_unique(guest: "Guest") -> None:
    guest.run("def f():\n    raise ValueError('first')", "agent.py")
    error = guest.fail("# another text\nf()", "agent.py")
    assert "raise ValueError('first')" in error["traceback"]
    assert "\n    f()" in error["traceback"]


def test_the_namespace_is_the_main_module(guest: "Guest") -> None:
    guest.run("x = 11")
    assert guest.run("import sys\nsys.modules['__main__'].x, sys.modules['__main__'].__dict__ is globals()") == (
        11,
        True,
    )


def test_dataclasses_and_pickle_find_their_module(guest: "Guest") -> None:
    code = """
from __future__ import annotations
import pickle, typing
from dataclasses import dataclass, fields
@dataclass
class Point:
    x: int
    y: int = 2
pickle.loads(pickle.dumps(Point(1))) == Point(1), typing.get_type_hints(Point)['x'] is int
"""
    assert guest.run(code) == (True, True)


def test_shadowed_names_do_not_reach_the_next_run(guest: "Guest", host: "FakeHost") -> None:
    guest.run("len = str = print = list = eval = compile = isinstance = None\nimport sys\nsys.stdout = None")
    guest.run("del print, len\nprint(len('abc'))")
    assert host.text() == "3\n"


def test_a_removed_builtins_entry_is_put_back(guest: "Guest") -> None:
    guest.run("del __builtins__")
    assert guest.run("len('ab')") == 2


def test_a_byte_order_mark_is_no_part_of_the_program(guest: "Guest") -> None:
    assert guest.run("\ufeffx = 1\nx") == 1
    assert guest.fail("\ufeff1 +")["line"] == 1
