"""Frames from the guest: exactly the known shapes are let in, whatever the bytes."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgpack import packb

from cloche.runtime.bridge.protocol import (
    EMPTY_REPLY,
    Call,
    Cancel,
    FailureReport,
    FinishedResponse,
    Op,
    Sleep,
    Start,
    Wait,
    WaitingResponse,
    Withdraw,
    error_reply,
    parse_call,
    parse_response,
    request,
    resume_request,
    run_request,
    set_request,
    value_reply,
    wait_reply,
    waits_reply,
)
from cloche.runtime.errors import ProtocolError
from cloche.runtime.result import Display
from cloche.runtime.values import UnserializableError, ValueTooLarge, decode, encode

REPORT = {"kind": "exception", "type": "E", "module": "m", "message": "t", "traceback": "b", "line": 3}

CALLS: list[tuple[list[Any], Any]] = [
    ([0, "f", [1], {"k": 2}], Call("f", [1], {"k": 2})),
    ([1, 0, "f", [], {}], Start(0, "f", [], {})),
    ([1, (1 << 63) - 1, "", [None], {}], Start((1 << 63) - 1, "", [None], {})),
    ([2, None], Wait(None)),
    ([2, 0], Wait(0)),
    ([2, 1.5], Wait(1.5)),
    ([2, float("inf")], Wait(float("inf"))),
    ([3, 7], Cancel(7)),
    ([4, 0.0], Sleep(0.0)),
    ([5, 3], Withdraw(3)),
]


@pytest.mark.parametrize(("frame", "message"), CALLS)
def test_known_call_frames(frame: list[Any], message: Any) -> None:
    parsed = parse_call(encode(frame))
    assert parsed == message
    assert type(parsed) is type(message)


SHOWN: list[Any] = ["value", {"text/html": "<b>", "image/png": b"\x89PNG", "image/svg+xml": "<svg/>"}]
RESPONSES: list[tuple[list[Any], Any]] = [
    ([0, {"a": (1, 2)}, None], FinishedResponse({"a": (1, 2)}, None)),
    ([0, None, REPORT], FinishedResponse(None, FailureReport("exception", "E", "m", "t", "b", 3))),
    ([0, None, REPORT | {"line": None}], FinishedResponse(None, FailureReport("exception", "E", "m", "t", "b", None))),
    ([0, "f", REPORT | {"kind": "unserializable"}], FinishedResponse("f", None)),
    ([0, 1, None, []], FinishedResponse(1, None)),
    ([0, 1, None, [SHOWN]], FinishedResponse(1, None, (Display("value", SHOWN[1]),))),
    (
        [0, "f", REPORT | {"kind": "unserializable"}, [SHOWN]],
        FinishedResponse("f", None, (Display("value", SHOWN[1]),)),
    ),
    ([1, []], WaitingResponse({})),
    ([1, [[5, None], [7, 3]]], WaitingResponse({5: None, 7: 3})),
]


@pytest.mark.parametrize(("frame", "message"), RESPONSES)
def test_known_responses(frame: list[Any], message: Any) -> None:
    assert parse_response(encode(frame)) == message


WRONG_CALLS: list[Any] = [
    None, 5, "x", {}, [], [None], ["0"], [True, "f", [], {}], [0.0, "f", [], {}], [5], [-1], [0], [0, "f", []],
    [0, "f", [], {}, 1], [0, b"f", [], {}], [0, "f", (1,), {}], [0, "f", {}, {}], [0, "f", [], []],
    [0, "f", [], {1: 2}], [0, "f", [], {b"k": 2}], [0, "f", [], {None: 2}],
    [1, True, "f", [], {}], [1, -1, "f", [], {}], [1, 1 << 63, "f", [], {}], [1, 1.0, "f", [], {}], [1, "f", [], {}],
    [2], [2, True], [2, -1], [2, float("nan")], [2, "1"], [2, 1, 1], [3], [3, None], [3, -1], [4], [4, None], [4, -0.1],
    [4, float("nan")], [4, 1 << 70, 1], [5], [5, None], [5, -1], [6],
]  # fmt: skip


@pytest.mark.parametrize("frame", WRONG_CALLS, ids=repr)
def test_unknown_call_frames(frame: Any) -> None:
    with pytest.raises(ProtocolError):
        parse_call(encode(frame))


WRONG_RESPONSES: list[Any] = [
    None, [], [0], [0, 1], [0, 1, 2], [0, 1, REPORT], [False, None, None], [0, None, []], [0, None, {}],
    [0, None, REPORT | {"kind": "x"}], [0, None, REPORT | {"kind": ["exception"]}], [0, None, REPORT | {"line": True}],
    [0, None, REPORT | {"line": "3"}], [0, None, REPORT | {"message": b"t"}], [0, None, REPORT | {"more": 1}],
    [0, None, {key: REPORT[key] for key in REPORT if key != "module"}], [0, None, None, None], [1, None, None, [SHOWN]],
    [0, 1, REPORT, [SHOWN]], [0, 1, None, [SHOWN], 1], [0, 1, None, [["x", {}]]], [0, 1, None, [["value"]]],
    [0, 1, None, [["value", {"text/html": b"x"}]]], [0, 1, None, [["value", {"image/png": "x"}]]],
    [0, 1, None, [["value", {"text/../x": "x"}]]], [0, 1, None, [["value", {1: "x"}]]], [0, 1, None, {"value": {}}],
    [0, 1, None, [[["value"], {}]]], [0, 1, None, [["value", {"text/html": 5}]]],
    [1], [1, None],
    [1, [1]], [1, [[]]], [1, [[-1, None]]], [1, [[1, "3"]]], [1, [[1]]], [1, [[1, True]]], [1, [[1, 2, 3]]], [2, 1],
]  # fmt: skip


@pytest.mark.parametrize("frame", WRONG_RESPONSES, ids=repr)
def test_unknown_responses(frame: Any) -> None:
    with pytest.raises(ProtocolError):
        parse_response(encode(frame))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60))
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xdf\xff\xff\xff\xff")
@example(b"\x91" * 5_000)
@example(b"\x93\x00" + b"\x91" * 100_000 + b"\xc0\xc0")
def test_any_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    for parse in (parse_call, parse_response):
        with suppress(ProtocolError):
            parse(data)


shapes = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.floats() | st.sampled_from(["f", "kind", "exception", b"x"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from([*REPORT, 1, b"k"]), inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(shapes, max_size=6))
def test_any_list_is_a_message_or_a_protocol_error(frame: list[Any]) -> None:
    data = packb(frame)
    for parse in (parse_call, parse_response):
        try:
            message: Any = parse(data)
        except ProtocolError:
            continue
        if isinstance(message, (Call, Start)):
            assert (type(message.name), type(message.args), type(message.kwargs)) == (str, list, dict)
            assert {type(key) for key in message.kwargs} <= {str}


def test_replies_and_requests_of_calls_that_wait() -> None:
    assert decode(waits_reply(3)) == [2, 3]
    assert decode(waits_reply(None)) == [2, None]
    items = [value_reply({"v": 1}, id=1), error_reply("E", "m", id=2)]
    assert decode(resume_request(items, {"tools": []})) == [
        Op.RESUME,
        [[1, 0, {"v": 1}], [2, 1, "E", "m"]],
        {"tools": []},
    ]


def test_requests() -> None:
    assert decode(run_request("x", "<run 1>", {"limits": {}})) == [Op.RUN, "x", "<run 1>", {"limits": {}}]
    assert decode(request(Op.PUT_FILE, "/f", b"x")) == [6, "/f", b"x"]
    assert decode(set_request("a", (1, {2}))) == [4, {"a": (1, {2})}]
    with pytest.raises(UnserializableError, match=r"^a\[1\]"):
        set_request("a", [1, print])


def test_replies() -> None:
    assert decode(EMPTY_REPLY) == [0, None]
    assert decode(value_reply((1,))) == [0, (1,)]
    assert decode(value_reply({"k": 1}, id=1 << 40)) == [1 << 40, 0, {"k": 1}]
    assert decode(error_reply("E", "m")) == [1, "E", "m"]
    assert decode(error_reply("E", "m", id=3)) == [3, 1, "E", "m"]
    items = [value_reply(1, id=1), error_reply("E", "m", id=2)]
    assert decode(wait_reply(items)) == [0, [[1, 0, 1], [2, 1, "E", "m"]]]
    assert decode(wait_reply([])) == [0, []]
    with pytest.raises(ValueTooLarge):
        value_reply("x" * 100, limit=50)
