"""Why something of the standard library is not there: texts for the errors of code that reaches for it."""

__all__ = ["ABSENT", "BLOCKED", "NO_INPUT", "NO_NETWORK", "NO_PROCESSES", "NO_THREADS"]

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
    "boto3": NO_NETWORK,
    "httpx": NO_NETWORK,
    "requests": NO_NETWORK,
    "urllib3": NO_NETWORK,
    "websockets": NO_NETWORK,
}
"""Packages that an image could hold but that would be of no use; the reason is given only where they are not found."""
