"""Imports and first uses that are cheaper to keep in the image than to repeat in every isolate."""

import importlib
import sys
from typing import Any

__all__ = ["USUAL", "exercise", "import_usual"]

# fmt: off
USUAL = (
    "abc", "argparse", "array", "ast", "asyncio", "base64", "binascii", "bisect", "calendar", "cmath",
    "codecs", "collections", "collections.abc", "concurrent.futures", "configparser", "contextlib",
    "contextvars", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "email", "enum", "errno",
    "fnmatch", "fractions", "functools", "gc", "getpass", "glob", "gzip", "hashlib", "heapq", "hmac", "html",
    "html.parser", "http", "inspect", "io", "ipaddress", "itertools", "json", "keyword", "linecache",
    "locale", "logging", "math", "numbers", "operator", "os", "os.path", "pathlib", "pickle", "pprint",
    "queue", "random", "re", "reprlib", "secrets", "shlex", "shutil", "signal", "socket", "stat",
    "statistics", "string", "struct", "subprocess", "sys", "tempfile", "textwrap", "threading", "time",
    "timeit", "token", "tokenize", "traceback", "types", "typing", "unicodedata", "urllib.error",
    "urllib.parse", "uuid", "warnings", "weakref", "xml.etree.ElementTree", "zipfile", "zlib", "zoneinfo",
)
# fmt: on


def import_usual() -> None:
    """Import the modules that programs use most; one the build lacks is left out."""
    for name in USUAL:
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"not in this build: {name} ({error})", file=sys.stderr)


def exercise() -> None:
    """Run the paths of a first snippet once, so that their caches and lazily made parts are in the image."""
    _data()
    _snippets()
    _failure()
    _requests()


def _data() -> None:
    import json
    import re

    json.loads(json.dumps({"a": [1, 2.5, None, "x"]}, indent=1))
    for pattern in (r"\w+", r"\d+", r"\s+", r"[^a-zA-Z0-9]", r"^.*$"):
        re.compile(pattern).search("warm up 1")


def _snippets() -> None:
    from cloche_guest.compiling import compiled
    from cloche_guest.policy import run_coroutine

    compiled("import math\nx = 1\nx", "<warm up>")
    run_coroutine(_pause())


async def _pause() -> None:
    import asyncio

    await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))


def _failure() -> None:
    from cloche_guest.errors import describe

    try:
        raise ValueError("warm up")
    except ValueError as error:
        describe(error, "<warm up>")


# Often enough for the interpreter to have specialised the code of every request, and its tables of types and names.
_ROUNDS = 40
_TOOL = {"name": "warm_up", "params": [["n", 1, False, None, "int"]], "returns": "int", "doc": "", "async": False}
_PROGRAMS = (
    "x{0} = {0}",
    "x{0} = [{0}, 'a', 1.5]\nlen(x{0})",
    "warm_up({0})",
    "1 / 0",
    "try:\n  missing{0}\nexcept NameError: pass",
)


def _requests() -> None:
    """Answer the usual requests, then forget them all."""
    from cloche_guest import sources, step
    from cloche_guest.compiling import forget as forget_programs
    from cloche_guest.namespace import NAMESPACE
    from cloche_guest.values import encode

    before = dict(NAMESPACE)
    for number in range(_ROUNDS):
        for program in _PROGRAMS:
            step.step(encode([1, program.format(number), f"<run {number}>", {"tools": [_TOOL]}]))
        step.step(encode([5, f"x{number}"]))
        step.step(encode([4, {"y": number}]))
    no_tools: list[Any] = []
    step.step(encode([3, no_tools]))
    NAMESPACE.clear()
    NAMESPACE.update(before)
    forget_programs()
    sources.forget()
    step.forget()
