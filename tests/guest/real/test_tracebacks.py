"""Tracebacks of the guest are Python's own, also where formatting them is shortened."""

import pytest

from cloche.runtime.errors import GuestException
from cloche.runtime.sandbox import Sandbox

COMPARE = """
import traceback
from cloche_guest import tracebacks
try:
    f(0)
except RecursionError as error:
    ours = traceback.format_exc()
    traceback.StackSummary.format_frame_summary = tracebacks._format_frame
    theirs = traceback.format_exc()
ours == theirs, ours
"""


@pytest.mark.parametrize(
    "program",
    [
        "def f(n):\n    return f(n + 1)",
        "def f(n):\n    return g(n) + 1\ndef g(n):\n    return f(n)",
        "def f(n):\n    return f(n + 1) if n % 3 else (f(n + 1))",
        "def f(n):\n    try:\n        f(n + 1)\n    except KeyError:\n        pass",
    ],
)
def test_long_recursions_look_as_python_prints_them(program: str) -> None:
    with Sandbox().session() as session:
        session.run(program).unwrap()
        same, text = session.run(COMPARE).unwrap()
    assert same
    assert "RecursionError" in text


def test_the_same_name_with_other_text_shows_its_own_lines() -> None:
    with Sandbox().session() as session:
        for text in ("first", "second"):
            error = session.run(f"raise ValueError('{text}')").error
            assert isinstance(error, GuestException)
            assert f"raise ValueError('{text}')" in error.traceback


def test_time_zones_are_in_the_image() -> None:
    program = "import zoneinfo, datetime\nstr(datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Oslo')))"
    assert Sandbox().run(program).unwrap() == "2026-07-01 00:00:00+02:00"
