"""Runs expressions of NumPy and pandas, in the guest and natively alike, and returns what each shows. Read as text."""

import copy
import io
import json
import pickle
import re
import sqlite3
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import pandas as pd

_MAX_SHOWN = 3_000
_NAMES = {"np": np, "pd": pd, "io": io, "copy": copy, "json": json, "pickle": pickle, "sqlite3": sqlite3}
pd.set_option("display.width", 200, "display.max_columns", 50)


def text(value: Any) -> str:
    """Return what a value is: its type, its types of elements, and its repr."""
    if isinstance(value, np.ndarray):
        return f"{type(value).__name__} {value.dtype} {value.shape} {value!r}"
    if isinstance(value, pd.DataFrame):
        return f"DataFrame {[str(each) for each in value.dtypes]} {value.index.dtype} {value.columns.dtype}\n{value!r}"
    if isinstance(value, pd.Series):
        return f"Series {value.dtype} {value.index.dtype}\n{value!r}"
    if isinstance(value, np.generic):
        return f"{type(value).__name__} {value.dtype} {value!r}"
    if type(value) in (list, tuple):
        return f"{type(value).__name__}({', '.join(map(text, value))})"
    if isinstance(value, dict) and type(value) is dict:
        return f"dict({', '.join(f'{text(key)}: {text(each)}' for key, each in value.items())})"
    return f"{type(value).__name__} {value!r}"


def _show(value: Any) -> None:
    print(text(value))


def shown(program: str) -> str:
    """Return what a program prints, its warnings, and the exception that it ends with."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = np.geterr()
        try:
            exec(compile(program, "<generated>", "exec"), {**_NAMES, "show": _show})
        except BaseException as error:
            print(f"{type(error).__name__}: {error}")
        finally:
            np.seterr(**before)
    # What is collected is so at another moment.
    told = [each for each in caught if each.category is not ResourceWarning]
    said = sorted({f"{each.category.__name__}: {each.message}" for each in told})
    # An object has an address of its own.
    return re.sub(" at 0x[0-9a-f]+", " at 0x", "\n".join([output.getvalue()[:_MAX_SHOWN], *said]))


def all_shown(sources: list[str]) -> list[str]:
    """Return what each program shows."""
    return [shown(source) for source in sources]
