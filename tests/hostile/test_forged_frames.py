"""A program that speaks to the bridge by itself: every forged frame ends its run, or is answered like an honest one."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgpack import packb
from tests.runtime.real.functions import Functions
from tests.runtime.real.neighbours import Street

from cloche.runtime.errors import GuestException, ProtocolError
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

made: list[object] = []


def note(value: object = None) -> object:
    made.append(value)
    return value


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox(tools=Functions(note), limits=Limits(time=5))


def send(session: Session, frame: bytes, then: str = "") -> Result[object]:
    session.set("frame", frame)
    return session.run(f"import _cloche\nanswer = _cloche.call(frame)\n{then}")


FORGED = {
    "nothing": b"",
    "no list": packb({"op": 0}),
    "an empty list": packb([]),
    "an op of text": packb(["0", "note", [], {}]),
    "an op of truth": packb([False, "note", [], {}]),
    "an unknown op": packb([99]),
    "a negative op": packb([-1, "note", [], {}]),
    "a response": packb([0, None, None]),
    "a call without arguments": packb([0, "note"]),
    "a call of too much": packb([0, "note", [], {}, None]),
    "a name of bytes": packb([0, b"note", [], {}]),
    "a name that is no name": packb([0, 5, [], {}]),
    "arguments of text": packb([0, "note", "ab", {}]),
    "keywords in a list": packb([0, "note", [], []]),
    "keywords that are no text": packb([0, "note", [], {1: 2}]),
    "a start without an id": packb([1, None, "note", [], {}]),
    "a start with a negative id": packb([1, -1, "note", [], {}]),
    "a start with an endless id": packb([1, (1 << 64) - 1, "note", [], {}]),
    "a wait for text": packb([2, "long"]),
    "a wait for less than nothing": packb([2, -1.0]),
    "a wait for no number": packb([2, float("nan")]),
    "a cancel of nothing": packb([3, None]),
    "a sleep for truth": packb([4, True]),
    "a sleep for less than nothing": packb([4, -0.5]),
    "a sleep for no number": packb([4, float("nan")]),
    "a list of four billion": b"\xdd\xff\xff\xff\xff",
    "a map of four billion": b"\xdf\xff\xff\xff\xff",
    "text of four billion": b"\xdb\xff\xff\xff\xff",
    "bytes of four billion": b"\xc6\xff\xff\xff\xff",
    "an extension of four billion": b"\xc9\xff\xff\xff\xff\x00",
    "a call with a list of four billion": b"\x94\x00\xa4note\xdd\xff\xff\xff\xff\x80",
    "half a frame": packb([0, "note", [1, 2, 3], {}])[:-3],
    "two frames": packb([0, "note", [], {}]) * 2,
    "a byte that means nothing": b"\xc1",
    "a timestamp": packb([0, "note", [], {}])[:-2] + b"\x91\xd6\xff\0\0\0\0\x80",
    "an unknown extension": b"\x94\x00\xa4note\x91\xd4\x63\x00\x80",
    "text that is no UTF-8": b"\x94\x00\xa4note\x91\xa2\xff\xfe\x80",
    "a hundred thousand lists": b"\x94\x00\xa4note" + b"\x91" * 100_000 + b"\x00\x80",
    "a pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_frame_ends_the_run(box: Sandbox, name: str) -> None:
    made.clear()
    with Street(box) as street:
        street.session.set("frame", FORGED[name])
        code = "import _cloche\nkept['list'].clear()\ntry: _cloche.call(frame)\n"
        code += "except BaseException: pass\nwhile True: pass"
        result = street.misbehave(code)
        assert isinstance(result.error, ProtocolError)
        assert result.rolled_back
        assert made == []
        assert result.calls == []
        street.check()


@pytest.mark.parametrize(
    "name", ["missing", "__class__", "note.__globals__", "specs", "", "x" * 100_000, "no te", "\0"]
)
@pytest.mark.parametrize("start", [False, True])
def test_only_registered_names_are_called(box: Sandbox, name: str, start: bool) -> None:
    frame = packb([1, 1, name, [], {}] if start else [0, name, [], {}])
    with box.session() as session:
        result = send(session, frame, "from cloche_guest.values import decode\ndecode(answer)[:2]")
        assert result.unwrap() == [1, "NameError"]
        assert [call.outcome for call in result.calls] == ["raised"]


@pytest.mark.parametrize("keyword", ["self", "__class__", "name", "args", "kwargs", ""])
def test_keywords_reach_only_the_tool(box: Sandbox, keyword: str) -> None:
    with box.session() as session:
        then = "from cloche_guest.values import decode\ndecode(answer)[:2]"
        assert send(session, packb([0, "note", [], {keyword: 1}]), then).unwrap() == [1, "TypeError"]


def test_an_honest_frame_of_its_own_is_answered_and_counted(box: Sandbox) -> None:
    with box.session() as session:
        then = "from cloche_guest.values import decode\ndecode(answer)"
        result = send(session, packb([0, "note", [7], {}]), then)
        assert result.unwrap() == [0, 7]
        assert result.usage.calls == 1


def test_a_call_id_twice(box: Sandbox) -> None:
    with box.session() as session:
        then = "from cloche_guest.values import decode\ndecode(_cloche.call(frame))[:2]"
        assert send(session, packb([1, 5, "note", [], {}]), then).unwrap() == [1, "ValueError"]


def test_a_frame_above_the_limit_never_reaches_the_tool(box: Sandbox) -> None:
    made.clear()
    with box.session() as session:
        session.set("frame", packb([0, "note", ["x" * 100_000], {}]))
        code = "import _cloche\nfrom cloche_guest.values import decode\ndecode(_cloche.call(frame))[:2]"
        assert session.run(code, limits=Limits(argument=1_000)).unwrap() == [1, "ValueError"]
    assert made == []


@pytest.mark.parametrize("stream", [0, 3, -1, 1 << 31])
def test_output_to_a_stream_that_is_none(box: Sandbox, stream: int) -> None:
    result = box.run(f"import _cloche\n_cloche.write({stream}, b'x')")
    assert isinstance(result.error, (ProtocolError, GuestException))
    assert result.stdout == result.stderr == ""


def test_markers_in_the_output_mean_nothing(box: Sandbox) -> None:
    result = box.run("import _cloche\n_cloche.write(1, b'\\x93\\x00\\x2a\\xc0')\nprint('final answer: 1')\n5")
    assert result.value == 5
    assert result.stdout.endswith("final answer: 1\n")


RESPONSES = {
    "nothing": b"",
    "text": b"hello",
    "no error report": packb([0, None, "error"]),
    "an error report without texts": packb([0, None, {"kind": "exception"}]),
    "an unknown kind": packb(
        [0, None, {"kind": "x", "type": "", "module": "", "message": "", "traceback": "", "line": None}]
    ),
    "suspended": packb([1, []]),
    "suspended by calls": packb([1, [[1, "note", [], {}, None]]]),
    "of another kind": packb([7, None, None]),
    "too many": b"\xdd\xff\xff\xff\xff",
    "nested": b"\x93\x00" + b"\x91" * 100_000 + b"\x00\xc0",
    "pickled": b"\x80\x04N.",
    "too large": packb([0, b"x" * 10_000_000, None]),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_a_program_that_answers_in_the_interpreters_place(box: Sandbox, name: str) -> None:
    with Street(box) as street:
        street.session.set("forged", RESPONSES[name])
        result = street.misbehave("import _cloche\n_cloche.set_step(lambda request: forged)")
        if result.error is None:
            # It takes effect with the next request.
            result = street.session.run("1")
        assert isinstance(result.error, ProtocolError)
        assert result.rolled_back


def test_an_answer_larger_than_any_frame(box: Sandbox) -> None:
    with box.session() as session:
        session.run("import _cloche\ntext = bytes(70_000_000)\n_cloche.set_step(lambda request: text)")
        assert isinstance(session.run("1").error, ProtocolError)


@pytest.mark.parametrize("step", ["lambda request: 5", "lambda request: 1 / 0", "None", "int", "lambda: b''"])
def test_an_interpreter_that_does_not_answer(box: Sandbox, step: str) -> None:
    with box.session() as session:
        session.run("kept = 41")
        results = [session.run(f"import _cloche\n_cloche.set_step({step})"), session.run("1")]
        assert any(result.error is not None for result in results)
        assert session.run("1").error is not None or session.run("kept").unwrap() == 41
    assert box.run("6 * 7").unwrap() == 42


def test_a_program_that_breaks_the_prelude(box: Sandbox) -> None:
    with Street(box) as street:
        code = "import sys\nfor name in list(sys.modules):\n    if 'cloche' in name: vars(sys.modules[name]).clear()"
        street.misbehave(code + "\nwhile True: pass")
        street.check()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_random_frames_end_in_an_answer_or_a_typed_error(box: Sandbox, frames: list[bytes]) -> None:
    with box.session() as session:
        session.run("kept = 41")
        session.set("frames", frames)
        result = session.run("import _cloche\nfor frame in frames: _cloche.call(frame)")
        assert result.error is None or isinstance(result.error, (ProtocolError, GuestException))
        assert session.run("kept").unwrap() == 41
