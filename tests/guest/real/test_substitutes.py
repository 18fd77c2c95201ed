"""Builtins that have Python functions in their place: the same values, errors, order and tracebacks as from C."""

from typing import Any

import pytest

from cloche import Limits, Sandbox

# Called with what is unpacked from a tuple, a builtin is what it is elsewhere: C.
COMPARE = """
import functools, traceback
def go(n):
    for i in range(n):
        seen.append(i)
        yield i
def fails(n):
    yield from range(n)
    raise KeyError("x")
def stops(x):
    if x == 2:
        raise StopIteration
    return x
def outcome(call):
    global seen
    seen = []
    try:
        return repr(call()), seen
    except BaseException as error:
        frames = [(f.name, f.line.replace("*(", "(", 1).strip(",)")) for f in traceback.extract_tb(error.__traceback__)]
        return type(error).__name__, str(error), seen, [name for name, _ in frames], error.__context__ is None
direct = outcome(lambda: {direct})
through_c = outcome(lambda: {through_c})
(direct, through_c)
"""
CALLS = [
    "sum|go(5)",
    "sum|(x * 0.1 for x in range(10))",
    "sum|(x for x in (1e16, 1.0, -1e16, 2**70, True, 1j))",
    "sum|(x for x in (2**31, 0.1, 0.2, 0.3))",
    "sum|go(3), 1.5",
    "sum|(c for c in 'ab'), ''",
    "sum|([i] for i in go(3)), []",
    "sum|fails(2)",
    "sum|(x for x in (1, 'a'))",
    "any|(x > 1 for x in go(9))",
    "all|(x < 1 for x in go(9))",
    "any|fails(0)",
    "list|go(3)",
    "tuple|go(3)",
    "set|([x] for x in go(2))",
    "set|go(4)",
    "list|map(lambda x: x + 1, go(3))",
    "list|map(lambda x, y: x + y, go(3), go(2))",
    "list|map(stops, go(5))",
    "list|map(lambda x: 1 // x, [1, 0])",
    "list|filter(lambda x: x % 2, map(lambda x: x + 1, go(6)))",
    "','.join|(str(x) for x in go(3))",
    "','.join|(x for x in go(3))",
    "min|go(4)",
    "max|(x for x in ())",
    "max|fails(3)",
    "min|(x for x in (1, 'a'))",
    "sorted|(-x for x in go(4))",
    "sorted|fails(3)",
    "functools.reduce|lambda a, b: a * b, range(1, 6)",
    "functools.reduce|lambda a, b: a + b, go(4), 10",
    "functools.reduce|lambda a, b: a, []",
    "functools.reduce|lambda a, b: a // 0, [1, 2]",
    "functools.reduce|lambda a, b: a, 5",
    "functools.partial(lambda a, b: (a, b), 1)|2",
    "functools.partial(lambda a, b: 1 // 0, 1)|2",
    "eval|'1 + 1', {}",
    "eval|'1 // 0', {}",
    "eval|'1 +', {}",
    "exec|'x = 1 // 0', {}",
    "exec|compile('5', '', 'eval'), {}",
]


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox(limits=Limits(time=60))


def value(box: Sandbox, program: str) -> Any:
    return box.run(program).unwrap()


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_what_it_is_from_c(box: Sandbox, call: str) -> None:
    function, _, given = call.partition("|")
    program = COMPARE.replace("{direct}", f"{function}({given})").replace("{through_c}", f"{function}(*({given},))")
    direct, through_c = value(box, program)
    assert direct == through_c


KEYS = {
    "sorted([3, 1, 2], key=lambda x: -x)": [3, 2, 1],
    "sorted([3, 1, 2], key=lambda x: x % 2, reverse=True)": [3, 1, 2],
    "max(['a', 'bbb', 'cc'], key=lambda s: len(s))": "bbb",
    "min(3, 1, 2, key=lambda x: -x)": 3,
    "max([], key=lambda x: x, default=7)": 7,
    "min((x for x in ()), default=None)": None,
    "(xs := [3, 1, 2]).sort(key=lambda x: seen.append(list(xs)) or -x) or (xs, seen)": ([3, 2, 1], [[], [], []]),
}


@pytest.mark.parametrize("expression", KEYS)
def test_keys(box: Sandbox, expression: str) -> None:
    assert value(box, f"seen = []\n{expression}") == KEYS[expression]


@pytest.mark.parametrize(
    ("statement", "left", "error"),
    [
        ("xs.sort(key=lambda x: xs.append(x) or x)", [1, 2, 3], "ValueError: list modified during sort"),
        ("xs.sort(key=lambda x: 1 // (x - 1))", [3, 1, 2], "ZeroDivisionError: integer division or modulo by zero"),
    ],
)
def test_a_sort_that_fails(box: Sandbox, statement: str, left: list[int], error: str) -> None:
    attempt = f"xs = [3, 1, 2]\ntry:\n    {statement}\nexcept Exception as e:\n    out = f'{{type(e).__name__}}: {{e}}'"
    program = f"{attempt}\n(xs, out)"
    assert value(box, program) == (left, error)


def test_builtins_are_the_builtins(box: Sandbox) -> None:
    program = (
        "import functools, inspect, types\nnames = [any, all, sum, min, max, sorted, exec, eval, functools.reduce]\n"
        "([isinstance(f, types.BuiltinFunctionType) for f in names], repr(sum), str(inspect.signature(sorted)), "
        "type(str.join).__name__, any.__doc__[:11])"
    )
    signature = "(iterable, /, *, key=None, reverse=False)"
    expected = ([True] * 9, "<built-in function sum>", signature, "method_descriptor", "Return True")
    assert value(box, program) == expected


def test_their_frames_do_not_count(box: Sandbox) -> None:
    program = (
        "def depth(n):\n    return 1 + sum(depth(n - 1) for _ in range(1)) if n else 0\n"
        "def limit(f, n=0):\n    try:\n        return limit(f, n + 1)\n    except RecursionError:\n        return n\n"
        "before = limit(1)\ntry:\n    depth(5000)\nexcept RecursionError:\n    pass\n(depth(450), limit(1) - before)"
    )
    assert value(box, program) == (450, 0)


def test_an_exception_of_a_task_does_not_hold_it(box: Sandbox) -> None:
    program = """
import asyncio, gc, weakref
gc.disable()
async def fail():
    async with asyncio.TaskGroup():
        raise ValueError("x")
async def main():
    try:
        async with asyncio.TaskGroup() as group:
            found = weakref.ref(group.create_task(fail()))
    except* ValueError as errors:
        kept = errors.exceptions[0].exceptions[0]
    return found() is None
await asyncio.create_task(main())
"""
    assert value(box, program) is True


def test_tasks_are_stepped_as_ever(box: Sandbox) -> None:
    program = """
import asyncio, contextvars, traceback
var, out = contextvars.ContextVar("var", default=0), []
async def work(n):
    var.set(n)
    await asyncio.sleep(0)
    if n == 2:
        raise ValueError("two")
    try:
        await asyncio.sleep(0.001 * n)
    except asyncio.CancelledError as e:
        out.append(("cancelled", e.args))
        raise
    return n, var.get()
results = await asyncio.gather(*[work(n) for n in range(4)], return_exceptions=True)
[two] = [r for r in results if isinstance(r, Exception)]
out.append([(f.name, f.lineno) for f in traceback.extract_tb(two.__traceback__)])
task = asyncio.create_task(work(5))
await asyncio.sleep(0)
await asyncio.sleep(0)
task.cancel("why")
try:
    await task
except asyncio.CancelledError as e:
    out.append(e.args)
early = asyncio.create_task(work(6))
early.cancel()
out.append([repr(r) for r in await asyncio.gather(early, return_exceptions=True)])
(out, [r for r in results if r is not two], var.get(), type(task).__module__)
"""
    out, results, outside, module = value(box, program)
    assert out == [[("work", 8)], ("cancelled", ("why",)), ("why",), ["CancelledError('')"]]
    assert (results, outside, module) == ([(0, 0), (1, 1), (3, 3)], 0, "_asyncio")
