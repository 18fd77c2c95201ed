"""Errors stay typed and can be shown, and sessions stay usable, whatever a program forges."""

import copy
import pickle
import threading
import traceback
from typing import Any

import pytest

from cloche import (
    FuelClock,
    FuelExhausted,
    GuestCrashed,
    GuestException,
    Interrupted,
    Limits,
    ProtocolError,
    Sandbox,
    Snapshot,
)
from cloche.runtime.bridge import handlers
from cloche.runtime.session import execution
from cloche.runtime.values import encode

REPORT = {"kind": "exception", "type": "E", "module": "m", "message": "x", "traceback": "t", "line": 1}
REPORTS: dict[str, dict[str, Any]] = {
    "a line of thousands of digits": {"line": 10**6000},
    "a negative line": {"line": -5},
    "a line that no file has": {"line": 1 << 40},
    "a type name of 4 MB": {"type": "E" * 4_000_000},
    "a message of 1 MB": {"message": "x" * 1_000_000},
    "surrogates": {"type": "\ud800", "module": "\udfff", "message": "\ud800", "traceback": "\ud800"},
    "terminal escapes": {"type": "E\n\x1b[31mINFO root: ok\r"},
    "no value to send": {"kind": "unserializable", "message": "\ud800" * 1000, "line": None},
    "a value too large": {"kind": "too_large", "line": 10**5000},
    "no memory": {"type": "MemoryError", "module": "builtins", "message": ""},
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_forged_report_makes_an_error_that_can_be_shown(name: str) -> None:
    answer = encode([0, None, REPORT | REPORTS[name]])
    with Sandbox(limits=Limits(time=20, message=500, traceback=500)).session() as session:
        session.run(f"import _cloche\n_cloche.set_step(lambda request: {answer!r})\n")
        error = session.run("1").error
        assert error is not None
        assert len(str(error)) <= 1_000
        for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301
            assert str(copied) == str(error)
        assert len(repr(error)) <= 4_000
        assert traceback.format_exception(error)
        if isinstance(error, GuestException):
            assert len(error.type_name) <= 200
            assert error.line in (None, 1)


SLEEPS = {
    "forged frames": "import _cloche\nfor i in range(12): _cloche.call(b'\\x92\\x04\\xce\\x3b\\x9a\\xca\\x00')",
    "an ordinary loop": "import time\nfor i in range(12): time.sleep(9e8)",
}


@pytest.mark.parametrize("clock", [0.0, FuelClock(0.0, rate=1), "fuel"])
@pytest.mark.parametrize("how", SLEEPS)
def test_a_clock_slept_past_its_end_leaves_the_session_sound(how: str, clock: Any) -> None:
    box = Sandbox(clock=clock, seed=1, limits=Limits(time=20))
    with box.session() as session:
        look = "import time\ntime.time() > 8.9e9 and time.monotonic() > 8.9e9"
        assert session.run(f"{SLEEPS[how]}\n{look}").unwrap() is True
        assert session.run(look).unwrap() is True
        snapshot = Snapshot.from_bytes(bytes(session.snapshot()))
        with box.restore(snapshot) as other:
            assert other.run(look).unwrap() is True


def test_a_program_that_waits_for_a_moment_after_the_end_of_time_ends_by_its_fuel() -> None:
    code = "import asyncio\nfor i in range(12): await asyncio.sleep(9e8)"
    with Sandbox(clock=0.0, limits=Limits(fuel=500_000_000, time=None)).session() as session:
        assert isinstance(session.run(code).error, FuelExhausted)
        assert session.run("import time\ntime.time()").unwrap() == 0


def test_a_sleep_costs_no_fuel_so_that_only_time_or_the_caller_ends_it() -> None:
    with Sandbox(limits=Limits(fuel=500_000_000, time=None)).session() as session:
        session.run("import time")
        timer = threading.Timer(0.3, session.interrupt)
        timer.start()
        result = session.run("time.sleep(1e6)")
        timer.join()
    assert isinstance(result.error, Interrupted)
    assert result.usage.fuel is not None
    assert result.usage.fuel < 10_000_000


def test_an_answer_that_makes_its_reader_fail_is_the_guests_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(response: bytes, reading: object) -> Any:
        raise IndexError("not foreseen")

    with Sandbox(limits=Limits(time=20)).session() as session:
        session.run("kept = 41")
        with monkeypatch.context() as patched:
            patched.setattr(execution, "parse_response", broken)
            result = session.run("kept = 0\n'x' * 100")
        assert isinstance(result.error, GuestCrashed)
        assert isinstance(result.error.__cause__, IndexError)
        assert result.rolled_back
        assert session.run("kept").unwrap() == 41


def test_an_answer_that_is_cut_off_within_a_value() -> None:
    # Too short for its shape to be checked first, and so dear that each token is looked at.
    answer = b"\x93\x00\xc0" + b"\x81\xc7\0\x05" * 20 + b"\xc7\0"
    with Sandbox(limits=Limits(time=20)).session() as session:
        session.run(f"import _cloche\n_cloche.set_step(lambda request: {answer!r})\n")
        assert isinstance(session.run("1").error, ProtocolError)


def test_a_handler_that_fails_is_the_guests_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(frame: bytes, reading: object) -> Any:
        raise ValueError("not foreseen")

    with Sandbox(limits=Limits(time=20)).session() as session:
        session.run("kept = 41")
        with monkeypatch.context() as patched:
            patched.setattr(handlers, "read_plain_call", broken)
            patched.setattr(handlers, "parse_call", broken)
            result = session.run(
                "kept = 0\nimport _cloche\n_cloche.call(b'\\x94\\0\\xd9\\x28' + b'x' * 40 + b'\\x90\\x80')"
            )
        assert isinstance(result.error, GuestCrashed)
        assert isinstance(result.error.__cause__, ValueError)
        assert result.rolled_back
        assert session.run("kept").unwrap() == 41
