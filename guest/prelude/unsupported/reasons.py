"""What the sandbox cannot have: the reasons, imports that fail with them, and how stand-ins are put in place."""

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["ABSENT", "BLOCKED", "NO_INPUT", "NO_NETWORK", "NO_PROCESSES", "NO_THREADS", "Absent", "install", "put"]


NO_NETWORK = "there is no network in this sandbox: the program reaches the outside only through its registered tools"
NO_PROCESSES = (
    "processes are not available in this sandbox: there is no operating system below it, only this interpreter"
)
NO_THREADS = (
    "threads are not available in this sandbox: use asyncio, or run the work inline "
    "(concurrent.futures.ThreadPoolExecutor does so)"
)
NO_INPUT = "there is no standard input in this sandbox: pass the value in as a variable or ask through a tool"
_NO_NATIVE = "native libraries cannot be loaded in this sandbox"
_NO_TERMINAL = "there is no terminal or display in this sandbox"
_NO_USERS = "there are no users or groups in this sandbox"
_NO_DEBUGGER = (
    "a debugger needs a person to talk to, and so does doctest, which imports it: print, assert, or use unittest"
)
_NO_HELP_TEXTS = "help on topics and keywords is not part of this image; help on modules, classes and functions works"
_OTHER_SYSTEM = "it belongs to another operating system"
_NO_TESTS = "Python's own tests and demos are not part of this image"
_NOT_COMPILED = (
    "compiled packages are not part of this image and cannot be installed at run time: use the standard library "
    "(math, statistics, csv, sqlite3), or ask for a tool"
)

BLOCKED = {
    "ctypes": _NO_NATIVE,
    "curses": _NO_TERMINAL,
    "ensurepip": "packages cannot be installed at run time in this sandbox: they are placed in its image",
    "fcntl": NO_PROCESSES,
    "idlelib": _NO_TERMINAL,
    "mmap": "files cannot be mapped in this sandbox: they lie in the interpreter's own memory already, read them",
    "multiprocessing": NO_PROCESSES,
    "pip": "packages cannot be installed at run time in this sandbox: they are placed in its image",
    "pty": _NO_TERMINAL,
    "readline": _NO_TERMINAL,
    "resource": NO_PROCESSES,
    "ssl": NO_NETWORK,
    "syslog": NO_PROCESSES,
    "termios": _NO_TERMINAL,
    "tkinter": _NO_TERMINAL,
    "tty": _NO_TERMINAL,
    "turtle": _NO_TERMINAL,
    "venv": NO_PROCESSES,
}
"""Modules that the sandbox can never have."""

ABSENT = {
    "aiohttp": NO_NETWORK,
    "antigravity": NO_NETWORK,
    "boto3": NO_NETWORK,
    "ftplib": NO_NETWORK,
    "grp": _NO_USERS,
    "httpx": NO_NETWORK,
    "imaplib": NO_NETWORK,
    "matplotlib": _NOT_COMPILED,
    "msvcrt": _OTHER_SYSTEM,
    "nt": _OTHER_SYSTEM,
    "numpy": _NOT_COMPILED,
    "pandas": _NOT_COMPILED,
    "pdb": _NO_DEBUGGER,
    "poplib": NO_NETWORK,
    "pwd": _NO_USERS,
    "pydoc_data": _NO_HELP_TEXTS,
    "requests": NO_NETWORK,
    "scipy": _NOT_COMPILED,
    "smtplib": NO_NETWORK,
    "socketserver": NO_NETWORK,
    "test": _NO_TESTS,
    "turtledemo": _NO_TERMINAL,
    "urllib3": NO_NETWORK,
    "webbrowser": NO_NETWORK,
    "websockets": NO_NETWORK,
    "winreg": _OTHER_SYSTEM,
    "winsound": _OTHER_SYSTEM,
    "wsgiref": NO_NETWORK,
    "xmlrpc": NO_NETWORK,
}
"""What an image could hold but the shipped one does not; the reason is given only where it is not found."""


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


def put(owner: object, **parts: object) -> None:
    """Set attributes of a module or class, whatever the types it declares for them."""
    for name, part in parts.items():
        setattr(owner, name, part)
