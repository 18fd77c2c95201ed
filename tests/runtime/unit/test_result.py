"""Results as people see them."""

from typing import Any

import pytest

from cloche.runtime.errors import GuestError, GuestException, StackOverflow
from cloche.runtime.result import Result, Usage


def result(value: Any = None, error: GuestError | None = None, stdout: str = "", stderr: str = "") -> Result[Any]:
    return Result(value, error, stdout, stderr, Usage(1, 0.1, 1, 0, 0), [])


def test_a_value_and_what_was_printed() -> None:
    assert str(result((1, "two"), stdout="hello\n", stderr="oh\n")) == "value: (1, 'two')\nstdout: hello\nstderr: oh"
    assert str(result()) == "value: None"


def test_an_error_and_what_was_printed() -> None:
    error = GuestException("ValueError", "no", "", 1)
    assert str(error).startswith("ValueError: no")
    assert str(result(error=StackOverflow())).startswith("error: StackOverflow: ")
    assert str(result(error=error, stdout="hello\n")).splitlines() == [
        f"error: {error}",
        "stdout: hello",
    ]


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, list(range(10**6)), {str(n): [n] * 1000 for n in range(1000)}, [10**10_000], [[[[[[[[1] * 99]]]]]]]],
)
def test_no_value_takes_more_than_a_few_lines(value: Any) -> None:
    assert len(str(result(value, stdout="x" * 10**6))) < 5_000
