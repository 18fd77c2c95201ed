"""What the sandbox cannot have: the reasons, imports that fail with them, and how stand-ins are put in place."""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = [
    "ABSENT",
    "BLOCKED",
    "NO_INPUT",
    "NO_NETWORK",
    "NO_PROCESSES",
    "NO_TERMINAL",
    "NO_USERS",
    "Absent",
    "install",
    "put",
]


NO_NETWORK = "there is no network in this sandbox: the program reaches the outside only through its registered tools"
NO_PROCESSES = (
    "processes are not available in this sandbox: there is no operating system below it, only this interpreter"
)
NO_INPUT = "there is no standard input in this sandbox: pass the value in as a variable or ask through a tool"
NO_TERMINAL = "there is no terminal or display in this sandbox"
NO_USERS = "there are no users or groups in this sandbox"
_OTHER_SYSTEM = "it belongs to another operating system"
_NO_TESTS = "Python's own tests and demos are not part of this image"
_NOT_COMPILED = (
    "compiled packages are not part of this image and cannot be installed at run time: use the standard library "
    "(math, statistics, csv, sqlite3), or ask for a tool"
)
_NOT_INSTALLED = (
    "packages from outside the standard library are not part of this image and cannot be installed at run time: "
    "use {} instead, or ask for a tool"
)
_NOT_HERE = "it is not part of this image and cannot be installed at run time: {}"
_MODELS = _NOT_HERE.format("ask for a tool that trains or runs the model outside of this sandbox")
_FRAMES = _NOT_HERE.format("use pandas where the image has it, or ask for a tool")
_COLUMNS = _NOT_HERE.format(
    "Parquet, Feather and ORC files need it, so have the data as CSV, JSON, Excel or SQLite, or ask for a tool that "
    "reads them"
)

BLOCKED = {
    "curses": NO_TERMINAL,
    "ensurepip": "packages cannot be installed at run time in this sandbox: they are placed in its image",
    "fcntl": NO_PROCESSES,
    "idlelib": NO_TERMINAL,
    "pip": "packages cannot be installed at run time in this sandbox: they are placed in its image",
    "pty": NO_TERMINAL,
    "readline": NO_TERMINAL,
    "resource": NO_PROCESSES,
    "syslog": NO_PROCESSES,
    "termios": NO_TERMINAL,
    "tkinter": NO_TERMINAL,
    "tty": NO_TERMINAL,
    "turtle": NO_TERMINAL,
    "venv": NO_PROCESSES,
}
"""Modules that the sandbox can never have."""

ABSENT = {
    "aiohttp": NO_NETWORK,
    "boto3": NO_NETWORK,
    "bs4": _NOT_INSTALLED.format("html.parser"),
    "cv2": _NOT_HERE.format("use PIL where the image has it, or ask for a tool"),
    "dateutil": _NOT_INSTALLED.format("datetime and zoneinfo"),
    "duckdb": _NOT_HERE.format("use sqlite3, or ask for a tool"),
    "fastparquet": _COLUMNS,
    "grp": NO_USERS,
    "httpx": NO_NETWORK,
    "jax": _MODELS,
    "keras": _MODELS,
    "lightgbm": _MODELS,
    "lxml": _NOT_INSTALLED.format("xml.etree.ElementTree or html.parser"),
    "matplotlib": _NOT_COMPILED,
    "msvcrt": _OTHER_SYSTEM,
    "nt": _OTHER_SYSTEM,
    "PIL": _NOT_COMPILED,
    "numpy": _NOT_COMPILED,
    "openpyxl": _NOT_INSTALLED.format("csv, or zipfile with xml.etree.ElementTree,"),
    "pandas": _NOT_COMPILED,
    "polars": _FRAMES,
    "psycopg2": NO_NETWORK,
    "pwd": NO_USERS,
    "pyarrow": _COLUMNS,
    "pyspark": _FRAMES,
    "pytest": _NOT_INSTALLED.format("unittest"),
    "pytz": _NOT_INSTALLED.format("zoneinfo"),
    "requests": NO_NETWORK,
    "scipy": _NOT_COMPILED,
    "sklearn": _NOT_COMPILED,
    "sqlalchemy": _NOT_HERE.format("use sqlite3: pandas reads and writes tables through its connections"),
    "sympy": _NOT_INSTALLED.format("fractions and decimal"),
    "tensorflow": _MODELS,
    "torch": _MODELS,
    "tqdm": _NOT_INSTALLED.format("print()"),
    "test": _NO_TESTS,
    "transformers": _MODELS,
    "turtledemo": NO_TERMINAL,
    "urllib3": NO_NETWORK,
    "websockets": NO_NETWORK,
    "winreg": _OTHER_SYSTEM,
    "winsound": _OTHER_SYSTEM,
    "xgboost": _MODELS,
    "yaml": _NOT_INSTALLED.format("json or tomllib"),
}
"""What an image could hold but the shipped one does not; the reason is given only where it is not found."""

_real_find_spec = importlib.util.find_spec


class Absent(MetaPathFinder):
    """Answers the import of a listed module with the reason it is not there; all others are left to the next finder.

    The error is a ModuleNotFoundError, so that ``try: import ssl`` in the standard library goes its other way.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self._reasons = reasons

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Raise for a listed module, else return None."""
        reason = self._reasons.get(fullname)
        if reason is None:
            return None
        raise ModuleNotFoundError(f"No module named {fullname!r}: {reason}", name=fullname)


def install() -> None:
    """Put the reasons in place: what can never be before all finders, what is only not found after them."""
    sys.meta_path.insert(0, Absent(BLOCKED))
    sys.meta_path.append(Absent(ABSENT))
    put(importlib.util, find_spec=_find_spec)


def _find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
    """Do what ``importlib.util.find_spec`` does: it says None of what is not there, and only an import says why."""
    try:
        return _real_find_spec(name, package)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        raise


def put(owner: object, **parts: object) -> None:
    """Set attributes of a module or class, whatever the types it declares for them."""
    for name, part in parts.items():
        setattr(owner, name, part)
