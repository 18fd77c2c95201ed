import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.runtime.bridge.transcript import RecordedCall, RecordedClock, RecordedEntropy, RecordedRun
from cloche.runtime.errors import ConfigurationError, RecordingError
from cloche.runtime.recording.recorder import HIDDEN, Redaction
from cloche.runtime.recording.recording import FORMAT, Recording, json_of, plain_of
from cloche.runtime.values import decode, encode


def message(*items: Any) -> bytes:
    return encode(list(items))


RUN = RecordedRun(
    requests=[message(1, "x", "<run 1>", {})],
    fuel=1_000,
    code="x",
    responses=[message(0, 1.5, None)],
    events=[
        RecordedCall(message(0, "look", ["a"], {}), message(0, 1), False),
        RecordedClock(0, 5),
        RecordedEntropy(b"\xff\0"),
    ],
    output="grün\n".encode(),
    errors=b"\xff",
    error=["GuestException", "no"],
    used=99,
)
RECORDING = Recording("ab" * 32, 1, 1 << 28, True, b"\x93cloche\n", (RUN,))


def test_both_forms_hold_the_same() -> None:
    assert Recording.from_bytes(RECORDING.to_bytes()) == RECORDING
    assert Recording.from_bytes(RECORDING.to_json().encode()) == RECORDING


def test_json_is_for_people() -> None:
    plain = json.loads(RECORDING.to_json())
    assert plain["format"] == FORMAT
    [run] = plain["runs"]
    assert run["events"][0] == ["call", {"$message": [0, "look", ["a"], {}]}, {"$message": [0, 1]}, False]
    assert run["output"] == {"$text": "grün\n"}
    assert set(run["errors"]) == {"$bytes"}


def test_an_int_that_python_would_not_write_down_travels_as_bytes() -> None:
    call = RecordedCall(message(0, "look", [10**6000], {}), None, False)
    recording = replace(RECORDING, runs=(replace(RUN, events=[call]),))
    assert Recording.from_bytes(recording.to_json().encode()) == recording


def test_a_forged_number_of_any_length_is_refused() -> None:
    runs = replace(RUN, fuel=10**6000), replace(RUN, used=10**6000)
    sessions = replace(RECORDING, memory=10**6000), replace(RECORDING, abi=10**6000)
    for forged in (*(replace(RECORDING, runs=(run,)) for run in runs), *sessions):
        with pytest.raises(RecordingError):
            Recording.from_bytes(forged.to_bytes())


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


@given(st.lists(plain_values))
def test_any_message_comes_back_to_the_last_bit(message: list[Any]) -> None:
    data = encode(message)
    assert plain_of(json_of({"it": data}).encode()) == {"it": data}


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    assert plain_of(json_of([data, "text"]).encode()) == [data, "text"]


@given(st.binary(max_size=100))
def test_other_bytes_are_no_recording(data: bytes) -> None:
    with pytest.raises(RecordingError):
        Recording.from_bytes(data)


@given(st.integers(0, len(RECORDING.to_bytes()) - 1), st.integers(1, 255))
def test_a_changed_byte_gives_another_recording_or_none(position: int, change: int) -> None:
    data = bytearray(RECORDING.to_bytes())
    data[position] ^= change
    with contextlib.suppress(RecordingError):
        assert Recording.from_bytes(bytes(data)) != RECORDING


def spoiled(path: str, value: Any) -> bytes:
    plain: Any = decode(RECORDING.to_bytes())
    at: Any = plain
    *steps, last = path.split(".")
    for step in steps:
        at = at[int(step) if step.isdigit() else step]
    at[int(last) if last.isdigit() else last] = value
    return encode(plain)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", "cloche recording 2"),
        ("image", 5),
        ("abi", True),
        ("runs", {}),
        ("runs.0", []),
        ("runs.0.extra", 1),
        ("runs.0.requests", [1]),
        ("runs.0.fuel", "1"),
        ("runs.0.fuel", True),
        ("runs.0.events", [["call", b"", b""]]),
        ("runs.0.events", [["clock", True, 1]]),
        ("runs.0.events", [["what"]]),
        ("runs.0.error", ["one"]),
        ("runs.0.error", [1, 2]),
        ("runs.0.lost", 1),
        ("runs.0.output", "text"),
    ],
)
def test_a_document_of_another_shape_is_refused(path: str, value: Any) -> None:
    with pytest.raises(RecordingError, match="not a recording"):
        Recording.from_bytes(spoiled(path, value))


@pytest.mark.parametrize(
    "text",
    ['{"a":', "{}", '{"format": {"$bytes": "%%"}}', '{"x": {"$text": 5}}', '{"$message": [{}]}', '{"a":' * 9_999],
)
def test_spoiled_json_is_refused(text: str) -> None:
    with pytest.raises(RecordingError):
        Recording.from_bytes(text.encode())


def test_arguments_are_found_by_position_and_by_name() -> None:
    redaction = Redaction(["login.password"])
    redaction.learn([{"name": "login", "params": [["user", 1, False, None, ""], ["password", 1, False, None, ""]]}])  # type: ignore[typeddict-item]
    calls: list[list[Any]] = [[["me", "hush"], {}], [["me"], {"password": "hush"}]]
    for call in calls:
        event = redaction.event(message(0, "login", *call), message(0, "ok"))
        assert b"hush" not in event.frame
        assert HIDDEN.encode() in event.frame
        assert (event.hidden, event.reply) == (True, message(0, "ok"))
    other = message(0, "other", ["hush"], {})
    assert redaction.event(other, None) == RecordedCall(other, None, False)


def test_a_whole_tool_is_hidden_in_the_foreground_and_the_background() -> None:
    redaction = Redaction(["login"])
    event = redaction.event(message(0, "login", ["hush"], {}), message(1, "ValueError", "hush"))
    assert (decode(event.frame), decode(event.reply or b"")) == ([0, "login", [HIDDEN], {}], [1, "ValueError", HIDDEN])
    redaction.event(message(1, 7, "login", ["hush"], {}), message(0, None))
    items = [[7, 0, "hush"], [8, 0, "seen"]]
    waited = redaction.event(message(2, None), message(0, items))
    assert decode(waited.reply or b"") == [0, [[7, 0, HIDDEN], [8, 0, "seen"]]]
    assert redaction.event(message(2, None), message(0, items)).hidden is False  # both have been answered


@pytest.mark.parametrize("names", ["login", [""], [".x"]])
def test_names_that_are_none_are_refused(names: Any) -> None:
    with pytest.raises(ConfigurationError, match="redact"):
        Redaction(names)
