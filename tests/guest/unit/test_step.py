"""The step function: every operation, and nothing but responses."""

import importlib
import random
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.guest.unit.conftest import FakeHost, Guest

RUN, RESUME, DEFINE, SET, GET, PUT_FILE, GET_FILE, LIST_FILES, LIMITS, RESEED = range(1, 11)


def test_variables(guest: "Guest") -> None:
    assert guest.ask(SET, {"a": [1, {"b": None}], "c": (1, 2)}) == (None, None)
    assert guest.run("a[1]['b'] is None and c") == (1, 2)
    guest.run("d = {'x': 1.5}")
    assert guest.ask(GET, "d") == ({"x": 1.5}, None)
    _, error = guest.ask(GET, "missing")
    assert (error["type"], error["message"]) == ("NameError", "name 'missing' is not defined")


def test_nothing_is_suspended(guest: "Guest") -> None:
    _, error = guest.ask(RESUME, [[1, 0, None]])
    assert (error["kind"], error["message"]) == ("exception", "nothing is suspended")


def test_a_value_that_cannot_be_sent(guest: "Guest") -> None:
    shown, error = guest.ask(1, "made = 1\n{'rows': [1, 2, 3, open]}", "", {})
    assert shown == "{'rows': [1, 2, 3, <built-in function open>]}"
    assert error["kind"] == "unserializable"
    assert "result['rows'][3]" in error["message"]
    assert (error["traceback"], error["line"]) == ("", None)
    assert guest.run("made") == 1


def test_a_value_that_is_too_large(guest: "Guest") -> None:
    guest.ask(LIMITS, {"result": 1_000})
    error = guest.fail("made = 2\n'x' * 2_000")
    assert error["kind"] == "too_large"
    assert guest.run("made") == 2
    assert guest.run("'x' * 500") == "x" * 500


def test_a_cyclic_value(guest: "Guest") -> None:
    assert guest.ask(1, "a = []\na.append(a)\na", "", {})[1]["kind"] in ("unserializable", "too_large")


def test_limits_reach_the_file_system(guest: "Guest", host: "FakeHost") -> None:
    guest.ask(LIMITS, {"files": 10, "bytes": 1_000, "message": 1, "result": 2, "argument": 3, "traceback": 4})
    assert host.file_caps == [(10, 1_000)]
    from cloche_guest.state import CAPS

    assert (CAPS.message, CAPS.result, CAPS.argument, CAPS.traceback) == (1, 2, 3, 4)


def test_reseeding_with_a_seed_repeats(guest: "Guest") -> None:
    draw = "import random\nrandom.random()"
    guest.ask(RESEED, b"seed")
    first = guest.run(draw)
    guest.ask(RESEED, b"seed")
    assert guest.run(draw) == first
    guest.ask(RESEED, b"other")
    assert guest.run(draw) != first
    guest.ask(RESEED, None)
    unseeded = guest.run(draw)
    guest.ask(RESEED, None)
    assert guest.run(draw) != unseeded


@pytest.mark.parametrize("choice", ["random.seed(5)", "random.setstate(random.Random(5).getstate())"])
def test_numbers_that_the_program_chose_go_on(guest: "Guest", monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    entropy: Any = importlib.import_module("cloche_guest.entropy")
    for name in ("seed", "setstate"):
        monkeypatch.setattr(random, name, vars(entropy)[f"_{name}_noted"])
    monkeypatch.setattr(importlib.import_module("cloche_guest.state").current, "chosen_numbers", False)
    guest.run(f"import random\n{choice}")
    guest.ask(RESEED, None)
    assert guest.run("random.random()") == random.Random(5).random()
    guest.run("random.seed()")
    guest.run("random.seed(5)\nrandom.seed(None)")
    entropy.reseed(b"5")
    assert guest.run("random.random()") == random.Random(int.from_bytes(b"5", "little")).random()


@pytest.fixture
def fresh(guest: "Guest", monkeypatch: pytest.MonkeyPatch) -> "Guest":
    import cloche_guest.state

    monkeypatch.setattr(cloche_guest.state.current, "fresh", True)
    random.seed(0)
    return guest


def test_the_first_request_reseeds_once(fresh: "Guest") -> None:
    baked = random.Random(0).random()
    assert fresh.run("import random\nrandom.random()") != baked
    random.seed(0)
    assert fresh.run("random.random()") == baked


def test_a_seed_as_the_first_request_is_the_only_one(fresh: "Guest", monkeypatch: pytest.MonkeyPatch) -> None:
    import cloche_guest.entropy

    def no_entropy(size: int) -> bytes:
        raise AssertionError("entropy was asked for")

    monkeypatch.setattr(cloche_guest.entropy, "_urandom", no_entropy)
    assert fresh.ask(RESEED, b"x") == (None, None)
    fresh.run("1")


@pytest.mark.parametrize(
    "request_values",
    [[], [99], ["run"], [RUN], [RUN, 5, "", {}], [RUN, "1", None, {}, 1], [DEFINE, 5], [SET, None], [GET, []], [None]],
)
def test_bad_requests_are_answered(guest: "Guest", request_values: list[Any]) -> None:
    value, error = guest.ask(*request_values)
    assert value is None
    assert error["kind"] == "exception"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.binary(max_size=40))
def test_any_bytes_are_answered(guest: "Guest", data: bytes) -> None:
    from cloche_guest.step import step
    from cloche_guest.values import decode

    if data[:1] and decodes_to_a_list(data):
        return
    kind, value, error = decode(step(data))
    assert (kind, value, error["kind"]) == (0, None, "exception")


def decodes_to_a_list(data: bytes) -> bool:
    from cloche_guest.values import MalformedValue, decode

    try:
        return isinstance(decode(data), list)
    except MalformedValue:
        return False


def test_files(guest: "Guest", monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    import cloche_guest.step

    monkeypatch.setattr(cloche_guest.step, "_HOME", str(tmp_path))
    assert guest.ask(PUT_FILE, "data/a.bin", b"\x00\xff") == (None, None)
    guest.ask(PUT_FILE, str(tmp_path / "b.txt"), b"b")
    assert (tmp_path / "data" / "a.bin").read_bytes() == b"\x00\xff"
    assert guest.ask(GET_FILE, "data/a.bin") == (b"\x00\xff", None)
    assert guest.ask(LIST_FILES, ".") == ([str(tmp_path / "b.txt"), str(tmp_path / "data" / "a.bin")], None)
    assert guest.ask(LIST_FILES, "data")[0] == [str(tmp_path / "data" / "a.bin")]


@pytest.mark.parametrize(
    ("request_values", "kind"),
    [
        ((GET_FILE, "missing"), "FileNotFoundError"),
        ((LIST_FILES, "missing"), "FileNotFoundError"),
        ((GET_FILE, "."), "IsADirectoryError"),
        ((PUT_FILE, ".", b""), "IsADirectoryError"),
        ((PUT_FILE, "", b""), "ValueError"),
        ((GET_FILE, "a\0b"), "ValueError"),
        ((PUT_FILE, "a", "text"), "TypeError"),
    ],
)
def test_file_errors(
    guest: "Guest", monkeypatch: pytest.MonkeyPatch, tmp_path: Any, request_values: tuple[Any, ...], kind: str
) -> None:
    import cloche_guest.step

    monkeypatch.setattr(cloche_guest.step, "_HOME", str(tmp_path))
    assert guest.ask(*request_values)[1]["type"] == kind


def test_a_module_put_as_a_file_is_importable(
    guest: "Guest", monkeypatch: pytest.MonkeyPatch, tmp_path: Any, keep: Callable[[Any], None]
) -> None:
    import cloche_guest.step

    monkeypatch.setattr(cloche_guest.step, "_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert guest.fail("import helper_of_the_test")["type"] == "ModuleNotFoundError"
    guest.ask(PUT_FILE, "helper_of_the_test.py", b"answer = 42")
    assert guest.run("import helper_of_the_test\nhelper_of_the_test.answer") == 42
