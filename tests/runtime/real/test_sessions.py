"""Sessions of the real guest: state, variables, files, and going back."""

import pickle
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cloche.runtime.errors import (
    ConfigurationError,
    FuelExhausted,
    GuestException,
    ResultTooLarge,
    SessionBusy,
    SessionClosed,
    UnserializableValue,
)
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

from .functions import Functions


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox()


def test_variables_functions_imports_and_files_stay(box: Sandbox) -> None:
    with box.session() as session:
        session.run("import math\nx = 20\ndef f(n): return n + x\nopen('notes', 'w').write('kept')").unwrap()
        assert session.run("math.floor(f(1.5)), open('notes').read()").unwrap() == (21, "kept")
        assert session.run("del x").error is None
        error = session.run("f(1)").error
        assert isinstance(error, GuestException)
        assert error.type_name == "NameError"


def test_an_exception_leaves_what_was_done(box: Sandbox) -> None:
    with box.session() as session:
        result = session.run("x = 1\n1 / 0\nx = 2")
        assert isinstance(result.error, GuestException)
        assert not result.rolled_back
        assert session.run("x").unwrap() == 1


def test_two_sessions_share_nothing(box: Sandbox) -> None:
    with box.session() as one, box.session() as other:
        one.run("import json; json.x = 1; x = 1; open('f', 'w').write('x'); import builtins; builtins.len = None")
        assert other.run("import json; hasattr(json, 'x'), 'x' in globals(), len('abc')").unwrap() == (False, False, 3)
        assert other.list_files() == []


def test_variables_from_and_to_the_host(box: Sandbox) -> None:
    values: dict[str, Any] = {"a": [1, (2, 3)], "b": {"k": {1, 2}}, "when": datetime(2026, 11, 21, tzinfo=UTC)}
    with box.session() as session:
        for name, value in values.items():
            session.set(name, value)
        assert {name: session.get(name) for name in values} == values
        assert session.run("a[1][0] + len(b)").unwrap() == 3
        session.run("c = a + [4]")
        assert session.get("c") == [1, (2, 3), 4]


def test_variables_that_are_none(box: Sandbox) -> None:
    with box.session() as session:
        with pytest.raises(GuestException, match="NameError") as caught:
            session.get("missing")
        assert caught.value.type_name == "NameError"
        for name in ("1x", "a.b", "", "a b", "x\n"):
            with pytest.raises(ConfigurationError, match="name"):
                session.get(name)
            with pytest.raises(ConfigurationError, match="name"):
                session.set(name, 1)
        with pytest.raises(TypeError, match=r"x\[1\]"):
            session.set("x", [1, object()])
        session.run("f = lambda: 1")
        with pytest.raises(UnserializableValue, match="function"):
            session.get("f")
        assert session.run("1").unwrap() == 1


def test_files_from_and_to_the_host(box: Sandbox) -> None:
    data = bytes(range(256)) * 1_000
    with box.session() as session:
        session.put_file("deep/down/data.bin", data)
        session.put_file("/tmp/text.txt", "grüße")
        session.put_file(PurePosixPath("module.py"), "value = 42")
        assert session.run("import module\nmodule.value, open('/tmp/text.txt').read()").unwrap() == (42, "grüße")
        assert session.get_file("/work/deep/down/data.bin") == data
        assert session.run("open('out', 'wb').write(open('deep/down/data.bin', 'rb').read()[::-1])").unwrap() == 256_000
        assert session.get_file("out") == data[::-1]
        listed = session.list_files()
        assert [path for path in listed if "__pycache__" not in path] == [
            "/work/deep/down/data.bin",
            "/work/module.py",
            "/work/out",
        ]
        assert session.list_files("/tmp") == ["/tmp/text.txt"]


def test_files_that_are_none(box: Sandbox) -> None:
    with box.session() as session:
        for path, kind in (("missing", "FileNotFoundError"), ("/work", "IsADirectoryError")):
            with pytest.raises(GuestException, match=kind):
                session.get_file(path)
        with pytest.raises(GuestException, match="Error"):
            session.put_file("/lib/os.py", b"evil")
        with pytest.raises(GuestException, match="FileNotFoundError"):
            session.list_files("/nowhere")
        for path in ("", "a\0b"):
            with pytest.raises(ConfigurationError, match="path"):
                session.get_file(path)
        assert session.run("import os; os.path.join('a', 'b')").unwrap() == "a/b"


def test_files_of_the_host_are_not_there(box: Sandbox) -> None:
    for path in (__file__, "/etc/passwd", "/proc/self/environ", "/work/../etc/passwd", "../../etc/passwd"):
        error = box.run(f"open({path!r}).read()").error
        assert isinstance(error, GuestException)
        assert error.type_name == "FileNotFoundError"


def test_a_file_larger_than_a_result(box: Sandbox) -> None:
    with box.session() as session:
        session.put_file("large", bytes(10_000_000))
        assert session.get_file("large") == bytes(10_000_000)
        # That holds for files only.
        assert isinstance(session.run("bytes(10_000_000)").error, ResultTooLarge)


def test_a_file_beyond_the_limit(box: Sandbox) -> None:
    with box.session(limits=Limits(file_bytes=10_000)) as session:
        with pytest.raises(GuestException, match="OSError"):
            session.put_file("large", bytes(20_000))
        session.put_file("small", bytes(1_000))


def test_without_rollback_the_session_ends(box: Sandbox) -> None:
    with box.session(rollback=False) as session:
        session.run("x = 1").unwrap()
        result = session.run("while True: pass", limits=Limits(fuel=1_000_000))
        assert isinstance(result.error, FuelExhausted)
        assert not result.rolled_back
        with pytest.raises(SessionClosed, match="FuelExhausted"):
            session.run("x")


def test_a_closed_session() -> None:
    session = Sandbox().session()
    session.close()
    session.close()
    for use in (lambda: session.run("1"), lambda: session.get("x"), session.list_files):
        with pytest.raises(SessionClosed):
            use()
    assert "ended" in repr(session)


def test_a_session_that_was_never_used() -> None:
    Sandbox().session().close()
    with Sandbox().session():
        pass


def test_use_by_two_callers(box: Sandbox) -> None:
    seen: list[BaseException] = []

    def call_back() -> None:
        for use in (lambda: session.run("1"), lambda: session.set("x", 1), lambda: session.get_file("x")):
            try:
                use()
            except SessionBusy as error:
                seen.append(error)

    with Sandbox(tools=Functions(call_back)).session() as session:
        session.run("call_back()").unwrap()
        assert len(seen) == 3
        assert session.run("2").unwrap() == 2


def test_a_tool_may_close_the_session_that_calls_it() -> None:
    def leave() -> None:
        session.close()

    session = Sandbox(tools=Functions(leave)).session()
    assert session.run("leave()\nwhile True: pass").error is not None
    with pytest.raises(SessionClosed):
        session.run("1")


def test_tools_that_come_and_go() -> None:
    def first() -> str:
        return "first"

    def second(x: int, y: int = 2) -> int:
        return x + y

    tools = Functions(first)
    with Sandbox(tools=tools).session() as session:
        assert session.run("first()").unwrap() == "first"
        tools.add(second)
        assert session.run("second(3), first()").unwrap() == (5, "first")
        tools.remove("first")
        error = session.run("first()").error
        assert isinstance(error, GuestException)
        assert error.type_name == "NameError"
        session.run("while True: pass", limits=Limits(fuel=1_000_000))
        assert session.run("second(1)").unwrap() == 3


@pytest.mark.parametrize("code", [5, None, b"1", ["1"]])
def test_a_program_that_is_no_text(box: Sandbox, code: Any) -> None:
    with box.session() as session:
        with pytest.raises(ConfigurationError, match="code"):
            session.run(code)
        assert session.run("1").unwrap() == 1


@pytest.mark.parametrize("code", ["", "\n\n", "# nothing", "'\\ud800' == '\\ud800'", "x = 'é' ; None", "pass"])
def test_small_programs(box: Sandbox, code: str) -> None:
    assert box.run(code).unwrap() in (None, True)


@pytest.mark.parametrize("code", ["a\0b", "\ud800", "x = (", "  x", "\x1b[31m", "return 1", "x: int = yield"])
def test_programs_that_are_none(box: Sandbox, code: str) -> None:
    error = box.run(code).error
    assert isinstance(error, GuestException)
    assert error.type_name in ("SyntaxError", "IndentationError", "UnicodeEncodeError", "ValueError")


def test_errors_can_be_pickled(box: Sandbox) -> None:
    error = box.run("def f():\n    raise ValueError('no')\nf()").error
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(copy), copy.args, copy.line) == (GuestException, error.args if error else None, 2)


ENDINGS = [
    "while True: pass",
    "x = bytearray(1 << 30)",
    "import _cloche; _cloche.call(b'')",
    "while True: print('x' * 99)",
]
SMALL = Limits(fuel=30_000_000, memory="96 MiB", output=10_000)


class Rollback(RuleBasedStateMachine):
    """Random runs of a session beside a model of what its variables and files must be."""

    session: Session

    @initialize(rollback_between=st.booleans())
    def open(self, rollback_between: bool) -> None:
        self.session = Sandbox(limits=SMALL.replace(fuel=5_000_000_000), seed=1).session()
        self.session.run("values = {}\nimport os, random, time")
        self.values: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.draws: list[float] = []
        if rollback_between:
            self.end_badly(ENDINGS[0])

    def teardown(self) -> None:
        self.session.close()

    @rule(name=st.sampled_from("abc"), value=st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=9))
    def put(self, name: str, value: Any) -> None:
        self.session.set("value", value)
        self.session.run(f"values[{name!r}] = value").unwrap()
        self.values[name] = value

    @rule(name=st.sampled_from("abc"))
    def drop(self, name: str) -> None:
        self.session.run(f"values.pop({name!r}, None)").unwrap()
        self.values.pop(name, None)

    @rule(name=st.sampled_from("xyz"), size=st.integers(0, 100_000))
    def write(self, name: str, size: int) -> None:
        self.session.run(f"open('{name}', 'wb').write(b'{name}' * {size})").unwrap()
        self.files[name] = name.encode() * size

    @rule(name=st.sampled_from("xyz"), data=st.binary(max_size=99))
    def put_file(self, name: str, data: bytes) -> None:
        self.session.put_file(name, data)
        self.files[name] = data

    @rule()
    def draw(self) -> None:
        number = self.session.run("random.random()").unwrap()
        # A run that was undone has taken nothing from the stream, and no number comes twice.
        assert number not in self.draws
        self.draws.append(number)

    @rule(megabytes=st.integers(1, 4))
    def work(self, megabytes: int) -> None:
        self.session.run(f"values['heavy'] = sum(bytearray(b'x') * ({megabytes} << 20))").unwrap()
        self.values["heavy"] = 120 * megabytes << 20

    @rule()
    def raise_error(self) -> None:
        assert isinstance(self.session.run("values['e'] = 1\n1 / 0").error, GuestException)
        self.values["e"] = 1

    @rule(code=st.sampled_from(ENDINGS))
    def end_badly(self, code: str) -> None:
        spoil = "values.clear()\nrandom.random()\nfor name in os.listdir(): os.remove(name)\n"
        result = self.session.run(spoil + code, limits=SMALL)
        assert result.error is not None
        assert result.rolled_back

    @invariant()
    def is_as_it_must_be(self) -> None:
        assert self.session.get("values") == self.values
        assert self.session.list_files() == [f"/work/{name}" for name in sorted(self.files)]
        for name, data in self.files.items():
            assert self.session.get_file(name) == data


Rollback.TestCase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
TestRollback = Rollback.TestCase


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("exit()", 0),
        ("import sys; sys.exit(0)", 0),
        ("raise SystemExit", 0),
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('no such file')", 1),
        ("import sys; sys.exit(True)", 1),
        ("import sys; sys.exit(10**30)", 1),
        ("1 / 0", None),
        ("class SystemExit(Exception): pass\nraise SystemExit(0)", None),
        ("x = 1", None),
    ],
)
def test_a_program_that_ends_itself(program: str, code: int | None) -> None:
    result = Sandbox().run(f"print('done')\n{program}")
    assert (result.exit_code, result.stdout) == (code, "done\n")
    assert result.ok == (code == 0 or program == "x = 1")


def test_a_session_goes_on_after_a_program_that_ended_itself() -> None:
    with Sandbox().session() as session:
        assert session.run("kept = 41\nexit()").unwrap() is None
        assert session.run("kept + 1").unwrap() == 42
