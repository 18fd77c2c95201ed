"""Runs generated programs, in the guest and in CPython alike, and returns what each of them shows. Read as text."""

import importlib
import io
import re
import warnings
from contextlib import redirect_stdout
from typing import Any

_TEXT = """
array ast base64 binascii bisect calendar cmath collections colorsys configparser copy csv datetime decimal
difflib email.utils fnmatch fractions functools hashlib heapq html inspect ipaddress itertools json keyword
math operator os pathlib pickle pprint quopri random re shlex statistics string struct textwrap time tomllib
unicodedata urllib.parse uuid xml.sax.saxutils zlib zoneinfo
"""
_MODULES = _TEXT.split()
_MAX_SHOWN = 2_000
_NAMES = {name.partition(".")[0]: importlib.import_module(name) for name in _MODULES}
_NAMES.update({name: importlib.import_module(name) for name in _NAMES})


def _show(value: Any) -> None:
    if hasattr(value, "__next__"):
        value = list(value)
    # A set of texts has another order in each process.
    print(type(value).__name__, f"set{sorted(value, key=repr)}" if isinstance(value, (set, frozenset)) else repr(value))


def shown(program: str) -> str:
    """Return what a program prints, and the exception that it ends with."""
    output = io.StringIO()
    with redirect_stdout(output):
        try:
            exec(compile(program, "<generated>", "exec"), {**_NAMES, "show": _show})
        except RecursionError:
            print("RecursionError")
        except BaseException as error:
            print(f"{type(error).__name__}: {error}")
    # An object has an address of its own.
    return re.sub(" at 0x[0-9a-f]+", " at 0x", output.getvalue()[:_MAX_SHOWN])


def all_shown(sources: list[str]) -> list[str]:
    """Return what each program shows."""
    warnings.simplefilter("ignore")
    return [shown(source) for source in sources]
