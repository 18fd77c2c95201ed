"""Calls functions of math and cmath, in the guest. Read as text by ``precision.py``, and run once in its session."""

import importlib
from collections.abc import Sequence
from typing import Any


def results(module: str, name: str, arguments: Sequence[Sequence[Any]]) -> list[Any]:
    """Return what a function gives for each tuple of arguments; the name of its exception, where it raises one."""
    function = getattr(importlib.import_module(module), name)
    return [_result(function, each) for each in arguments]


def _result(function: Any, arguments: Sequence[Any]) -> Any:
    try:
        return function(*arguments)
    except (ValueError, OverflowError) as error:
        return type(error).__name__
