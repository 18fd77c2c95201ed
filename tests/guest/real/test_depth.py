"""How deep programs may go in C code: about as deep as natively, and beyond it is an exception that they can catch."""

import pytest

from cloche.runtime.errors import GuestException
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox

BOX = Sandbox(limits=Limits(fuel=50_000_000_000, time=60))
DEEP = "import sys\nsys.setrecursionlimit(1_000_000)\n"
FINE = {
    "a sum": "compile('+'.join(['x'] * 10_000), 'x', 'eval')",
    "attributes": "compile('x' + '.a' * 10_000, 'x', 'eval')",
    "elif": "compile('if x == 0: pass\\n' + ''.join(f'elif x == {i}: pass\\n' for i in range(5_000)), 'x', 'exec')",
    "brackets": "compile('[' * 200 + ']' * 200, 'x', 'eval')",
    "lambdas": "compile('lambda: ' * 2_500 + 'x', 'x', 'eval')",
    "evaluating a sum": "x = 1\nassert eval('+'.join(['x'] * 10_000)) == 10_000",
    "a tree": "import ast\nast.parse('+'.join(['x'] * 8_000))",
    "lru_cache": "import functools\n@functools.lru_cache(None)\ndef f(n): return n and f(n - 1)\nf(3_000)",
    "calls of objects": "class A:\n  def __call__(s, n): return n and s(n - 1)\nA()(3_000)",
    "__getattr__": (
        "class A:\n  def __getattr__(s, n): return int(n[1:]) and getattr(s, f'a{int(n[1:]) - 1}')\nA().a3900"
    ),
    "map": "def f(n): return n and list(map(f, [n - 1]))[0]\nf(3_800)",
    "sorted": "def f(n): return n and sorted([1], key=lambda _: f(n - 1))[0]\nf(2_300)",
    "JSON": "import json\njson.loads('[' * 10_000 + ']' * 10_000)",
    "repr": "x = []\nfor _ in range(10_000): x = [x]\nrepr(x)",
    "comparing": "a = []\nb = []\nfor _ in range(10_000): a = [a]; b = [b]\nassert a == b",
    "pickle": "import pickle\nx = []\nfor _ in range(5_000): x = [x]\npickle.loads(pickle.dumps(x))",
    "deepcopy": "import copy\nx = []\nfor _ in range(10_000): x = [x]\ncopy.deepcopy(x)",
}
ENDLESS = {
    "a slot of its own": "class F: pass\nF.__repr__ = F.__str__\nstr(F())",
    "__getattr__": "class A:\n  def __getattr__(s, n): return getattr(s, n + 'a')\nA().a",
    "__getattribute__": "class A:\n  def __getattribute__(s, n): return s.x\nA().x",
    "a property": "class A:\n  x = property(lambda s: getattr(s, 'x'))\nA().x",
    "map": "def f(n): return list(map(f, [n]))\nf(1)",
    "reduce": "import functools\ndef f(a, b): return functools.reduce(f, [1, 2])\nf(1, 2)",
    "re.sub": "import re\ndef f(m): return re.sub('a', f, 'a')\nf(1)",
    "sorted": "def f(n): return sorted([1], key=f)\nf(1)",
    "lru_cache": "import functools\n@functools.lru_cache(None)\ndef f(n): return f(n + 1)\nf(1)",
    "__new__": "class A:\n  def __new__(c, n): return A(n)\nA(1)",
    "__hash__": "class A:\n  def __hash__(s): return hash(A())\nhash(A())",
    "__bool__": "class A:\n  def __bool__(s): return bool(A())\nbool(A())",
    "__format__": "class A:\n  def __format__(s, f): return f'{A()}'\nf'{A()}'",
    "__repr__": "class A:\n  def __repr__(s): return repr(A())\nrepr(A())",
    "__add__": "class A:\n  def __add__(s, o): return s + A()\nA() + A()",
    "__contains__": "class A:\n  def __contains__(s, o): return o in A()\n1 in A()",
    "__index__": "class A:\n  def __index__(s): return [1][A()]\n[1][A()]",
    "__eq__": "class A:\n  def __eq__(s, o): return [A()] == [A()]\nA() == A()",
    "exec": "s = 'exec(s)'\nexec(s)",
    "partial": "import functools\ndef f(): return functools.partial(f)()\nf()",
    "pickling a partial": (
        "import functools, pickle\nf = functools.partial(print)\nf.__setstate__((f, (), {}, {}))\npickle.dumps(f)"
    ),
    "pickling objects": (
        "import pickle\nclass P:\n  def __init__(s, x): s.x = x\n  def __reduce__(s): return P, (s.x,)\n"
        "f = None\nfor _ in range(10_000): f = P(f)\npickle.dumps(f)"
    ),
    "a generator": "def g(): yield next(g())\nnext(g())",
    "min": "def f(n): return min([n], key=f)\nf(1)",
    "a sum": "eval('+'.join(['x'] * 100_000))",
    "a tree": "import ast\nast.parse('+'.join(['x'] * 100_000))",
    "a tree of one's own": (
        "import ast\nx = ast.Name('x', ast.Load(), lineno=1, col_offset=0)\n"
        "for _ in range(100_000): x = ast.UnaryOp(ast.Not(), x, lineno=1, col_offset=0)\n"
        "compile(ast.Expression(x), 'x', 'eval')"
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_as_deep_as_natively(name: str) -> None:
    BOX.run(DEEP + FINE[name] + "\nNone").unwrap()


@pytest.mark.parametrize("name", ENDLESS)
def test_deeper_is_an_exception_of_the_program(name: str) -> None:
    body = "\n  ".join(ENDLESS[name].splitlines())
    program = (
        f"{DEEP}try:\n  {body}\nexcept (RecursionError, MemoryError) as error:\n  said = type(error).__name__\nsaid"
    )
    assert BOX.run(program).unwrap() == "RecursionError"


@pytest.mark.parametrize("text", ["'-' * 50_000 + 'x'", "'x if x else ' * 50_000 + 'x'", "'(' * 150 + 'x' + ')' * 100"])
def test_a_text_too_deep_for_the_parser(text: str) -> None:
    error = BOX.run(f"compile({text}, 'x', 'eval')").error
    assert isinstance(error, GuestException)
    assert error.type_name in ("MemoryError", "SyntaxError")


def test_a_program_can_go_on_after_it() -> None:
    with BOX.session() as session:
        for name in ("a slot of its own", "a sum", "map"):
            assert "recursion depth exceeded" in str(session.run(DEEP + ENDLESS[name]).error)
        assert session.run("compile('+'.join(['1'] * 5_000), 'x', 'eval') is not None").unwrap() is True
