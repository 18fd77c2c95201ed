from typing import Any

from cloche.cli.demo.catalogue import Ends, Gives, Raises
from cloche.runtime.errors import FuelExhausted, GuestError, GuestException, LimitExceeded, TimeExceeded
from cloche.runtime.result import Result, ToolCallRecord, Usage

USAGE = Usage(1, 0.1, 1, 0, 0)


def result(
    value: Any = None, error: GuestError | None = None, calls: list[ToolCallRecord] | None = None
) -> Result[Any]:
    return Result(value, error, "", "", USAGE, calls or [])


def call(started: float, seconds: float) -> ToolCallRecord:
    record = ToolCallRecord("f", [], {}, started)
    record.end("returned", seconds)
    return record


def test_a_value() -> None:
    assert Gives(5).deviation(result(5)) == ""
    assert "5" in Gives(5).deviation(result(6))
    assert Gives(None).deviation(result(None, GuestException("ValueError")))


def test_calls_together() -> None:
    together = Gives(1, together=True)
    assert together.deviation(result(1, calls=[call(0, 1), call(0.5, 1)])) == ""
    assert "same time" in together.deviation(result(1, calls=[call(0, 1), call(1.5, 1)]))
    assert "same time" in together.deviation(result(1))


def test_an_exception_of_the_program() -> None:
    expected = Raises("NameError", "nowhere")
    assert expected.deviation(result(error=GuestException("NameError", "name 'nowhere' is not defined"))) == ""
    assert expected.deviation(result(error=GuestException("NameError", "other")))
    assert expected.deviation(result(error=GuestException("TypeError", "nowhere")))
    assert expected.deviation(result(error=FuelExhausted(1, 1)))
    assert expected.deviation(result(5))


def test_an_end_by_a_limit() -> None:
    assert Ends(FuelExhausted).deviation(result(error=FuelExhausted(1, 1))) == ""
    assert "FuelExhausted" in Ends(FuelExhausted).deviation(result(error=TimeExceeded(1, 1)))
    assert Ends(LimitExceeded).deviation(result(error=FuelExhausted(1, 1)))
    assert Ends(FuelExhausted).deviation(result(5))
