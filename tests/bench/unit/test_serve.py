"""The benchmark of the server: its command line, and how it reads its measurements."""

import argparse

import pytest

from cloche.bench.command import UsageError, add_arguments, execute
from cloche.bench.serve import CASES, _at  # pyright: ignore[reportPrivateUsage]


def test_an_unknown_case_is_refused_with_those_that_there_are() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(UsageError, match="warm, burst, wake"):
        execute(parser.parse_args(["serve", "cold"]), None, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_there_is_a_case_for_each_bar() -> None:
    assert list(CASES) == ["warm", "burst", "wake", "noisy", "kills", "drain", "hostile"]


def test_quantiles_are_in_milliseconds() -> None:
    times = [each / 1000 for each in range(1, 101)]
    assert (_at(times, 0.5), _at(times, 0.99), _at([0.5], 0.99)) == (51, 100, 500)
