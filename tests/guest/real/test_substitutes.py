"""Builtins that have Python functions in their place: the same values, errors, order and tracebacks as from C."""

from typing import Any

import pytest

from cloche import Limits, Sandbox

# Called with what is unpacked from a tuple, a builtin is what it is elsewhere: C.
COMPARE = """
import contextvars, functools, traceback
def go(n):
    for i in range(n):
        seen.append(i)
        yield i
def fails(n):
    yield from range(n)
    raise KeyError("x")
def returns(value):
    return value
    yield
def begun():
    generator = (lambda: (yield (yield 1)))()
    next(generator)
    return generator
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
    "next|go(3)",
    "next|go(0)",
    "next|go(0), 7",
    "next|fails(0)",
    "next|fails(0), 7",
    "next|returns(None)",
    "next|returns((1, 2))",
    "next|returns(KeyError(1))",
    "next|returns(3), 7",
    "next|(next(go(0)) for _ in [1])",
    "next|5",
    "begun().send|5",
    "begun().send|None",
    "go(3).send|None",
    "go(3).send|5",
    "fails(0).send|None",
    "returns(5).send|None",
    "dict|((str(i), i) for i in go(20))",
    "dict|(x for x in ([1, 2], 'ab', (3, 4)))",
    "dict|(x for x in ((1, 2), (3,)))",
    "dict|(x for x in (1,))",
    "dict|(x for x in (([], 1),))",
    "dict|zip(go(2), go(3))",
    "dict|fails(0)",
    "frozenset|(str(i) for i in range(30))",
    "frozenset|([x] for x in go(2))",
    "list|zip(go(3), 'abcd', go(2))",
    "list|zip(go(3), go(2), strict=True)",
    "list|zip(go(3))",
    "list|enumerate(go(3), 5)",
    "list|enumerate(map(lambda x: 1 // x, [1, 0]))",
    "list|map(str, go(3))",
    "list|map(lambda x, y: (x, y), zip(go(2), 'ab'), enumerate(go(2)))",
    "list|filter(None, go(3))",
    "functools.cache(lambda x: [x])|1",
    "functools.lru_cache(2)(lambda x, y=0: (x, y))|1",
    "functools.lru_cache(0)(lambda x: [x])|1",
    "functools.cache(lambda x: 1 // x)|0",
    "functools.cache(lambda x: x)|1, 2",
    "functools.cache(lambda x: x)|[]",
    "contextvars.copy_context().run|lambda x: x + 1, 1",
    "contextvars.copy_context().run|lambda x: 1 // x, 0",
    "contextvars.copy_context().run|abs, -1",
    "contextvars.copy_context().run|5",
]
LOOPS = [
    "map(str, go(3))",
    "map(stops, go(5))",
    "map(lambda x: 1 // x, [2, 1, 0])",
    "map(lambda x, y: x + y, go(3), go(2))",
    "filter(lambda x: x % 2, go(6))",
    "filter(None, go(3))",
    "zip(go(3), 'abcd', go(2))",
    "zip(go(2), go(3), strict=True)",
    "zip(fails(1), go(3))",
    "enumerate(go(3), 5)",
    "enumerate(zip(go(3), map(str, go(2))))",
    "filter(lambda p: p[0], enumerate(go(3)))",
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


@pytest.mark.parametrize("iterator", LOOPS)
def test_a_loop_is_what_it_is_in_c(box: Sandbox, iterator: str) -> None:
    loop = f"[x for x in {iterator}]"
    through_c = f"(lambda made: [x for x in made])({iterator})"
    program = COMPARE.replace("{direct}", loop).replace("{through_c}", through_c)
    direct, through_c = value(box, program)
    # C is below a function of the program there, which is in its traceback once more.
    if len(direct) == 5:
        through_c[3].pop(1)
    assert direct == through_c


LEFT = """
def odd(n):
    for i in range(n):
        yield i
source = odd(9)
out = []
for i, (a, b) in enumerate(zip(source, map(lambda x: -x, range(9)))):
    out.append((i, a, b))
    if i == 2:
        break
pairs = enumerate(source, 10)
for i, a in pairs:
    break
(out, i, a, next(pairs), next(source), list(source))
"""


def test_what_a_loop_leaves_behind(box: Sandbox) -> None:
    assert value(box, LEFT) == ([(0, 0, 0), (1, 1, -1), (2, 2, -2)], 10, 3, (11, 4), 5, [6, 7, 8])


CLASSES = """
import enum, traceback
class Meta(type):
    def __prepare__(name, bases, **options):
        return {"options": options}
    def __new__(cls, name, bases, namespace, **options):
        return super().__new__(cls, name, bases, namespace)
    def __init__(cls, name, bases, namespace, **options):
        pass
class Made(int, metaclass=Meta, option=1):
    twice = [options["option"], 2]
    def cell(self):
        return __class__
class Entry:
    def __mro_entries__(self, bases):
        return (Made,)
class Below(Entry()):
    pass
class Colour(enum.Enum):
    RED = enum.auto()
errors = []
def fail():
    class Broken:
        x = 1 // 0
for f in (fail, lambda: type("X", (Made,), {"__slots__": 1})):
    try:
        f()
    except Exception as error:
        errors.append((type(error).__name__, [frame.name for frame in traceback.extract_tb(error.__traceback__)]))
class Odd(Meta):
    def __new__(cls, name, bases, namespace):
        return Meta.__new__(cls, name, bases, {k: v for k, v in namespace.items() if k != "__classcell__"})
try:
    class Loses(metaclass=Odd):
        def cell(self):
            return __class__
except RuntimeError as error:
    errors.append(str(error)[:44])
(Made.twice, Made(1).cell() is Made, [c.__name__ for c in Below.__mro__], type(Below.__orig_bases__[0]).__name__,
 Colour.RED.value, Made.__module__, Made.__qualname__, errors)
"""


def test_classes_are_made_as_ever(box: Sandbox) -> None:
    twice, own, order, original, red, module, name, errors = value(box, CLASSES)
    assert (twice, own, order, original, red) == ([1, 2], True, ["Below", "Made", "int", "object"], "Entry", 1)
    assert (module, name) == ("__main__", "Made")
    assert errors[0] == ("ZeroDivisionError", ["<module>", "fail", "Broken"])
    assert errors[1] == ("TypeError", ["<module>", "<lambda>", "__new__"])
    assert errors[2] == "__class__ not set defining 'Loses' as <class"


CACHES = """
import functools
calls = []
@functools.lru_cache(maxsize=2)
def square(x, *, add=0):
    calls.append(x)
    return x * x + add
class Holder:
    @functools.cache
    def own(self, x):
        calls.append("own")
        return x
holder = Holder()
out = [square(1), square(1), square(2), square(1), square(3), square(2), square(2, add=1), holder.own(4), holder.own(4)]
@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
@functools.cache
def inside(n):
    calls.append("in")
    return n and inside(n - 1)
(out, calls, square.cache_info()[:], fib(300), inside(5), inside(5), inside.cache_info()[:])
"""


def test_caches_count_as_ever(box: Sandbox) -> None:
    out, calls, info, fib, first, second, inside = value(box, CACHES)
    assert out == [1, 1, 4, 1, 9, 4, 5, 4, 4]
    assert calls == [1, 2, 3, 2, 2, "own"] + ["in"] * 6
    assert (info, fib) == ((2, 5, 2, 2), 222232244629420445529739893461909967206666939096499764990979600)
    assert (first, second, inside) == (0, 0, (1, 6, None, 6))


STACK = """
import inspect, sys, traceback
def names():
    frame, found = sys._getframe(), []
    while frame is not None:
        found.append(frame.f_code.co_name)
        frame = frame.f_back
    return found
def one():
    yield names()
class Body:
    seen = names()
here = [next(one()), Body.seen, sum((names() for _ in range(1)), []), next(map(lambda _: names(), [1]))]
here.append([x for x in map(lambda _: names(), [1])][0])
here.append([f.function for f in inspect.stack()])
here.append([f.name for f in traceback.extract_stack()])
try:
    sys._getframe(1)
except ValueError as error:
    here.append(str(error))
here
"""


def test_only_the_programs_frames_are_on_the_stack(box: Sandbox) -> None:
    assert value(box, STACK) == [
        ["names", "one", "<module>"],
        ["names", "Body", "<module>"],
        ["names", "<genexpr>", "<module>"],
        ["names", "<lambda>", "<module>"],
        ["names", "<lambda>", "<module>"],
        ["<module>"],
        ["<module>"],
        "call stack is not deep enough",
    ]


def test_a_recursion_that_goes_through_next_has_its_usual_depth(box: Sandbox) -> None:
    program = (
        "def depth(n):\n    yield n and 1 + next(depth(n - 1))\n"
        "def limit(f, n=0):\n    try:\n        return limit(f, n + 1)\n    except RecursionError:\n        return n\n"
        "before = limit(1)\ntry:\n    next(depth(5000))\nexcept RecursionError:\n    pass\n"
        "(next(depth(900)), limit(1) - before)"
    )
    assert value(box, program) == (900, 0)


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


RECURSION = """
import sys, traceback
def depth():
    frame, found = sys._getframe(1), 0
    while frame is not None:
        frame, found = frame.f_back, found + 1
    return found
def down(left):
    return depth() if left == 0 else down(left - 1)
below = depth()
room = sys.getrecursionlimit() - below
def reaches(levels):
    try:
        return down(levels) > 0
    except RecursionError:
        return False
below, reaches(room - 3), reaches(room - 2)
"""


def test_frames_below_a_program_are_not_counted(box: Sandbox) -> None:
    with box.session() as session:
        # Three frames are above the module: reaches, the last down, depth. Nothing adds up after a run that failed.
        for _ in range(3):
            assert session.run(RECURSION).unwrap() == (1, True, False)
            session.run("def f(): f()\nf()")
