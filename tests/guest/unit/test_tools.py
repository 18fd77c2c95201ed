"""Tools as functions of the guest."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.guest.unit.conftest import FakeHost, Guest

Tool = Callable[..., dict[str, Any]]
LIMITS, DEFINE = 9, 3
FULL = [
    ["query", 0, False, None, "str"],
    ["limit", 1, True, 10, "int"],
    ["rest", 2, False, None, ""],
    ["strict", 3, False, None, "bool"],
    ["mode", 3, True, "fast", ""],
    ["more", 4, False, None, ""],
]


@pytest.fixture
def search(guest: "Guest", host: "FakeHost", tool: Tool) -> None:
    host.tools["search"] = lambda *args, **kwargs: [list(args), kwargs]
    guest.define(tool("search", *FULL, returns="list[dict]", doc="Look things up."))


@pytest.mark.usefixtures("search")
def test_a_proxy_looks_like_the_tool(guest: "Guest") -> None:
    assert guest.run("import inspect\nstr(inspect.signature(search))") == (
        "(query: str, /, limit: int = 10, *rest, strict: bool, mode='fast', **more) -> list[dict]"
    )
    assert guest.run("search.__name__, search.__doc__, inspect.isfunction(search)") == (
        "search",
        "Look things up.",
        True,
    )
    assert guest.run("search.__annotations__") == {
        "query": "str",
        "limit": "int",
        "strict": "bool",
        "return": "list[dict]",
    }


@pytest.mark.usefixtures("search")
def test_help_shows_the_signature(guest: "Guest") -> None:
    text = guest.run("import pydoc\npydoc.plain(pydoc.render_doc(search))")
    signature = "search( query: str, /, limit: int = 10, *rest, strict: bool, mode='fast', **more ) -> list[dict]"
    # 3.13 puts each parameter on a line of its own, 3.11 does not.
    assert signature.replace("( ", "(").replace(" )", ")") in " ".join(text.split()).replace("( ", "(").replace(
        " )", ")"
    )
    assert "Look things up." in text


@pytest.mark.usefixtures("search")
def test_arguments_travel_as_given(guest: "Guest") -> None:
    assert guest.run("search('a', 1, 2, strict=True, z=3)") == [["a", 1, 2], {"strict": True, "z": 3}]


@pytest.mark.parametrize(
    "call",
    [
        "f()",
        "f(1)",
        "f(1, 2, 3, 4)",
        "f(1, k=2, a=1)",
        "f(1, 2, 3, k=1, b=2)",
        "f(1, 2, 3, k=1, z=2)",
        "f(1, 2, k=1, **{'c': 1, 'd': 2})",
        "f(a=1, b=2, k=3)",
    ],
)
def test_wrong_calls_fail_in_pythons_words(guest: "Guest", host: "FakeHost", tool: Tool, call: str) -> None:
    guest.run("def f(a, /, b, c=3, *, k): ...")
    expected = guest.fail(call)
    guest.run("del f")
    guest.define(tool("f", ["a", 0, False, None, ""], "b", ["c", 1, True, 3, ""], ["k", 3, False, None, ""]))
    error = guest.fail(call)
    assert (error["type"], error["message"]) == (expected["type"], expected["message"])
    assert error["type"] == "TypeError"
    assert host.frames == []


def test_a_tools_error_is_raised_with_its_own_type(guest: "Guest", host: "FakeHost", tool: Tool) -> None:
    def fail(kind: str) -> None:
        raise {"v": ValueError("bad city"), "k": KeyError("Oslo"), "o": FileNotFoundError(2, "gone")}[kind]

    host.tools["fail"] = fail
    guest.define(tool("fail", "kind"))
    error = guest.fail("x = 1\nfail('v')")
    assert (error["type"], error["message"], error["line"]) == ("ValueError", "bad city", 2)
    assert "fail('v')" in error["traceback"]
    assert "cloche_guest" not in error["traceback"]
    assert guest.fail("fail('k')")["message"] == "'Oslo'"
    assert guest.run("try:\n    fail('o')\nexcept OSError as e:\n    r = type(e).__name__\nr") == "FileNotFoundError"


class RateLimited(Exception):
    pass


def test_an_unknown_error_is_a_tool_error(guest: "Guest", host: "FakeHost", tool: Tool, monkeypatch: Any) -> None:
    from cloche_guest import program as namespace

    def fail() -> None:
        raise RateLimited("slow down")

    monkeypatch.setattr("sys.modules", {**__import__("sys").modules})
    namespace.install()
    host.tools["fail"] = fail
    guest.define(tool("fail"))
    error = guest.fail("fail()")
    assert (error["type"], error["message"]) == ("RateLimited", "slow down")
    assert error["traceback"].endswith("tools.RateLimited: slow down\n")
    code = """
try:
    fail()
except ToolError as e:
    first = e
try:
    fail()
except type(first):
    r = 'same'
r
"""
    assert guest.run(code) == "same"


@pytest.mark.parametrize(
    "name", ["UnicodeDecodeError", "ExceptionGroup", "StopIteration", "SystemExit", "print", "object"]
)
def test_errors_that_cannot_be_made_are_tool_errors(name: str) -> None:
    from cloche_guest.tool_errors import ToolError, tool_error

    error = tool_error(name, "text")
    assert isinstance(error, ToolError)
    assert (type(error).__name__, str(error)) == (name, "text")
    assert type(tool_error(name, "again")) is type(error)


@pytest.mark.usefixtures("search")
@pytest.mark.parametrize(
    ("call", "place"),
    [
        ("search([1, 2, 3, object()], strict=1)", "argument 'query'[3]"),
        ("search('q', object(), strict=1)", "argument 'limit'"),
        ("search('q', 1, 2, object(), strict=1)", "argument '*rest[1]'"),
        ("search('q', strict={'a': [object()]})", "argument 'strict'['a'][0]"),
        ("search('q', strict=1, extra=object())", "argument 'extra'"),
    ],
)
def test_an_argument_that_cannot_cross_is_named(guest: "Guest", host: "FakeHost", call: str, place: str) -> None:
    error = guest.fail(call)
    assert (error["type"], error["module"]) == ("TypeError", "builtins")
    assert place in error["message"]
    assert host.frames == []


@pytest.mark.usefixtures("search")
def test_too_large_arguments_are_refused(guest: "Guest", host: "FakeHost") -> None:
    guest.ask(LIMITS, {"argument": 1_000})
    assert guest.fail("search('x' * 2_000, strict=True)")["type"] == "ValueError"
    assert guest.fail("search('x' * 600, 'y' * 600, strict=True)")["type"] == "ValueError"
    assert guest.run("search('x' * 100, strict=True)[0]") == ["x" * 100]


def test_define_replaces_the_whole_set(guest: "Guest", host: "FakeHost", tool: Tool) -> None:
    host.tools.update(a=lambda: "a", b=lambda: "b")
    guest.define(tool("a"), tool("b"))
    assert guest.run("a() + b()") == "ab"
    guest.define(tool("b"))
    assert guest.fail("a()")["message"] == "name 'a' is not defined"
    assert guest.run("b()") == "b"
    guest.define()
    assert guest.fail("b()")["type"] == "NameError"


def test_a_programs_own_variable_stays(guest: "Guest", host: "FakeHost", tool: Tool) -> None:
    host.tools["a"] = lambda: "tool"
    guest.define(tool("a"))
    guest.run("a = 'mine'")
    guest.define(tool("a"), tool("c"))
    assert guest.run("a") == "mine"
    guest.define()
    assert guest.run("a") == "mine"
    guest.run("del a")
    guest.define(tool("a"))
    assert guest.run("a()") == "tool"


def test_a_changed_tool_replaces_its_old_self(guest: "Guest", host: "FakeHost", tool: Tool) -> None:
    host.tools["a"] = lambda *args: len(args)
    guest.define(tool("a", "x"))
    guest.run("alias = a")
    guest.define(tool("a", "x", "y"))
    assert guest.run("a(1, 2)") == 2
    assert guest.run("alias(1)") == 1


def test_an_unregistered_name_is_refused_by_the_host(guest: "Guest", tool: Tool) -> None:
    guest.define(tool("gone"))
    assert guest.fail("gone()")["message"] == "no tool is called 'gone'"


def test_tools_work_as_callbacks(guest: "Guest", host: "FakeHost", tool: Tool) -> None:
    def key(x: int) -> int:
        return -x

    host.tools["key"] = key
    guest.define(tool("key", "x"))
    assert guest.run("sorted([1, 3, 2], key=key), list(map(key, [1]))") == ([3, 2, 1], [-1])


def test_a_malformed_definition_changes_nothing(guest: "Guest", host: "FakeHost", tool: Tool) -> None:
    host.tools["a"] = lambda: "a"
    guest.define(tool("a"))
    _, error = guest.ask(DEFINE, [{"name": "b"}])
    assert error["type"] == "KeyError"
    assert guest.run("a()") == "a"
