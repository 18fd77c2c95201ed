"""Values, results and errors as JSON, and frames."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.runtime import errors
from cloche.runtime.errors import FuelExhausted, GuestError, GuestException
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result, Usage, ValueRepr
from cloche.serve.forms import (
    MAX_FRAME,
    Channel,
    Problem,
    dumps,
    error_form,
    error_of,
    from_form,
    limits_form,
    limits_of,
    result_form,
    result_of,
    to_form,
)

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(plain)
    ),
    max_leaves=12,
)


@given(values)
def test_every_value_comes_back_through_json(value: Any) -> None:
    back = from_form(json.loads(dumps(to_form(value))))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "form",
    [
        {"$bytes": "no base64!"},
        {"$cloche": "wQ=="},
        {"$cloche": 1},
        {"$float": "1"},
        {"$new": 1},
        {"$bytes": "AA==", "other": 1},
        {"$tuple": {}},
    ],
)
def test_a_forged_form_is_refused(form: Any) -> None:
    with pytest.raises(ValueError, match=r".*"):
        from_form(form)


def test_a_deep_form_is_refused() -> None:
    form: Any = []
    for _ in range(400):
        form = [form]
    with pytest.raises(ValueError, match="nested"):
        from_form(form)


def test_errors_come_back_as_their_own_class_with_their_numbers() -> None:
    error = error_of(error_form(FuelExhausted(5, 4)))
    assert isinstance(error, FuelExhausted)
    assert (error.used, error.limit, str(error)) == (5, 4, str(FuelExhausted(5, 4)))


def test_a_forged_error_is_a_guest_error_and_never_another_class() -> None:
    for form in ({"type": "SystemExit", "args": []}, {"type": "FuelExhausted", "args": [1]}, {"type": "__all__"}):
        assert type(error_of({"message": "m", **form})) is GuestError


def test_every_guest_error_can_cross() -> None:
    made = GuestException("ValueError", "no", "Traceback", 3)
    assert vars(error_of(error_form(made))) == vars(made)
    assert {name for name in errors.__all__ if not hasattr(errors, name)} == set()


def test_a_result_comes_back() -> None:
    usage = Usage(7, 0.5, 100, 3, 0)
    result = Result({"a": (1,)}, None, "out", "", usage, [], exit_code=0)
    back = result_of(json.loads(dumps(result_form(result))))
    assert (back.value, back.stdout, back.usage, back.exit_code) == (result.value, "out", usage, 0)
    shown = result_of(json.loads(dumps(result_form(Result(ValueRepr("<f>", "a function"), None, "", "", usage, [])))))
    assert isinstance(shown.value, ValueRepr)
    assert shown.value.reason == "a function"


def test_limits_come_back() -> None:
    limits = Limits(fuel=None, output="1 KiB")
    assert limits_of(json.loads(dumps(limits_form(limits)))) == limits


def test_a_problem_has_one_shape() -> None:
    form = Problem(429, "quota_exceeded", "too many", retry_after=1.5, quota="creates").form()
    assert form["status"] == 429
    assert {"type", "title", "code", "message", "cause", "remedy", "retry_after", "quota"} == form.keys() - {"status"}


class Wire:
    """The transport of a Channel that writes into another one's."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True


def channel() -> tuple[Channel, Wire, list[Any]]:
    got: list[Any] = []
    made, wire = Channel(got.append, lambda: None), Wire()
    made.connection_made(wire)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return made, wire, got


def test_messages_are_whole_however_the_bytes_arrive() -> None:
    sender, wire, _ = channel()
    messages = [[1, "run", {"code": "x" * 1000, "text": "\ud800"}], [2, "done", b"\xff"], []]
    for message in messages:
        sender.send(message)
    for size in (1, 3, 100, 10_000):
        receiver, _, got = channel()
        for start in range(0, len(wire.data), size):
            receiver.data_received(wire.data[start : start + size])
        assert got == messages


def test_a_frame_that_is_too_long_ends_the_connection() -> None:
    receiver, wire, got = channel()
    receiver.data_received((MAX_FRAME + 1).to_bytes(4, "big"))
    assert wire.closed
    assert got == []
