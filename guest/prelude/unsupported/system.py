"""What only an operating system has: signals from outside, users, a shell. Most of it says why it is not there."""

import concurrent.futures
import errno
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn, cast

import _cloche
from cloche_guest.unsupported.reasons import NO_PROCESSES, NO_USERS, put

__all__ = ["install", "refuse_processes"]

_NO_ALARM = (
    "alarms are not available in this sandbox: nothing interrupts a program from outside but the limits of its host"
)
_NO_ZONES = "time is UTC in this sandbox, and TZ changes nothing: use zoneinfo for other time zones"
_NO_DISK = "files are in memory in this sandbox: there is no disk whose use could be told"
_UTC = ("", "UTC", "UTC0", "Etc/UTC", "GMT", "GMT0")
# As modes.c says whose the files are.
_USER = 1000
_ESHUTDOWN = 108
_IGNORED = (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT)
_NO_REDIRECTION = "standard streams cannot be redirected by number in this sandbox: assign to sys.stdout instead"
_STREAMS = ("/dev/stdin", "/dev/stdout", "/dev/stderr")
_ACCESS = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
_NO_DESCRIPTOR = 1 << 20
_real_open, _real_fpathconf, _real_pathconf = os.open, os.fpathconf, os.pathconf
_raise_signal = signal.raise_signal
_clock_info: Callable[[str], object] = time.get_clock_info  # type: ignore[assignment]  # it checks the names itself


def _no_processes(process: Any, *args: Any, **kwargs: Any) -> NoReturn:
    process._child_created = False  # what Popen.__del__ looks at
    raise OSError(errno.ENOSYS, NO_PROCESSES)


class _ProcessPoolExecutor(concurrent.futures.Executor):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise OSError(f"{NO_PROCESSES}; use concurrent.futures.ThreadPoolExecutor, which runs the work in threads")


def refuse_processes() -> None:
    """Make ``subprocess.Popen``, all that is built on it, and pools of processes raise OSError."""
    put(subprocess.Popen, __init__=_no_processes)
    _ProcessPoolExecutor.__name__ = _ProcessPoolExecutor.__qualname__ = "ProcessPoolExecutor"
    _ProcessPoolExecutor.__module__ = "concurrent.futures"
    put(concurrent.futures, ProcessPoolExecutor=_ProcessPoolExecutor)


def install() -> None:
    """Complete ``os``, ``signal``, ``time``, and ``shutil`` with what other systems have."""
    _add(os, _exit=_exit, abort=_abort, system=_no_system, kill=_kill, getppid=_no_parent, getlogin=_no_login)
    _add(os, getuid=_user, geteuid=_user, getgid=_user, getegid=_user, getgroups=_groups, getloadavg=_load)
    put(os, get_terminal_size=_cloche.get_terminal_size)
    _add(signal, raise_signal=raise_signal, alarm=_alarm, setitimer=_no_alarm, pause=_no_alarm)
    put(signal, ITIMER_REAL=0, ITIMER_VIRTUAL=1, ITIMER_PROF=2, ItimerError=OSError)
    put(time, thread_time=time.process_time, thread_time_ns=time.process_time_ns)
    _add(time, tzset=_tzset, get_clock_info=_get_clock_info)
    _add(shutil, disk_usage=_no_disk)
    # As elsewhere: asyncio's runners and _thread.interrupt_main() go by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for module in (os, sys.modules[os.open.__module__]):
        _add(module, open=_open, dup=_dup, dup2=_dup2, fpathconf=_fpathconf, pathconf=_pathconf)
    # The scheme has a folder for the version, which is not there.
    library = os.path.dirname(os.__file__)
    vars(sysconfig)["_INSTALL_SCHEMES"]["posix_prefix"].update(stdlib=library, platstdlib=library)
    put(sys, getrefcount=_cloche.getrefcount, thread_info=_thread_info())
    # WASI has no such error, and CPython takes that of a broken pipe for it.
    put(errno, ESHUTDOWN=_ESHUTDOWN)
    # A dict, which its declaration hides.
    cast(dict[int, str], errno.errorcode).update({errno.EPIPE: "EPIPE", _ESHUTDOWN: "ESHUTDOWN"})


def _add(owner: ModuleType, **functions: Callable[..., object]) -> None:
    """Put functions into a module as its own."""
    known = {name: getattr(owner, name, None) for name in functions}
    put(owner, **functions)
    for name, function in functions.items():
        # So it is the signature of the function of C that is shown.
        if known[name] is not None and known[name] is not function:
            put(function, __wrapped__=known[name], __text_signature__=getattr(known[name], "__text_signature__", None))
        put(function, __module__=owner.__name__, __name__=name, __qualname__=name)


def _thread_info() -> object:
    """Return ``sys.thread_info`` with the name of what stands in for the C library's threads."""
    info: Any = sys.thread_info
    return type(info)(("pthread-stubs", *info[1:]))


def _open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """Do what ``os.open`` does. WASI has a flag for reading, which is 0 elsewhere and so is often left out."""
    if not flags & _ACCESS:
        flags |= os.O_RDONLY
    return _real_open(path, flags, mode, dir_fd=dir_fd)


def _dup(fd: int, /) -> int:
    """Return a new descriptor of the same open file, which shares its position."""
    return _real_open(_STREAMS[fd], os.O_RDWR) if 0 <= fd < len(_STREAMS) else _cloche.duplicate(fd, -1)


def _dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
    """Make ``fd2`` another descriptor of the same open file; not of the three standard streams."""
    if 0 <= fd2 < len(_STREAMS):
        raise OSError(errno.ENOSYS, _NO_REDIRECTION)
    if fd2 < 0 or not 0 <= fd < len(_STREAMS):
        return _cloche.duplicate(fd, fd2 if fd2 >= 0 else _NO_DESCRIPTOR)
    opened = _dup(fd)
    try:
        return _cloche.duplicate(opened, fd2)
    finally:
        os.close(opened)


def _fpathconf(fd: int, name: Any, /) -> int:
    """Do what ``os.fpathconf`` does, for a descriptor that is open."""
    os.fstat(fd)
    return _real_fpathconf(fd, name)


def _pathconf(path: Any, name: Any) -> int:
    """Do what ``os.pathconf`` does, for a file that is there."""
    os.stat(path)
    return _real_pathconf(path, name)


def raise_signal(signalnum: int, /) -> None:
    """Send a signal to the program: its handler is called, or the program ends as the signal does by default.

    SIGINT raises KeyboardInterrupt then, and another one SystemExit with the status that a shell would show.
    """
    # None is of those that no program can handle.
    if signal.getsignal(signalnum) not in (signal.SIG_DFL, None):
        _raise_signal(signalnum)
        # It is the main thread that calls the handler, at once if it waits.
        _cloche.interrupt()
    elif signalnum == signal.SIGINT:
        raise KeyboardInterrupt
    elif signalnum not in _IGNORED:
        raise SystemExit(128 + signalnum)


def _exit(status: int) -> NoReturn:
    """End the run with SystemExit: there is no process to end."""
    raise SystemExit(status)


def _abort() -> NoReturn:
    """End the run with SystemExit, and the status that a shell would show."""
    raise SystemExit(128 + signal.SIGABRT)


def _kill(pid: int, sig: int, /) -> None:
    """Send a signal to the program itself; there is no other one."""
    if pid not in (0, os.getpid()):
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    if sig:
        raise_signal(sig)


def _no_system(command: object) -> NoReturn:
    raise OSError(errno.ENOSYS, NO_PROCESSES)


def _no_parent() -> int:
    return 1


def _no_login() -> NoReturn:
    raise OSError(errno.ENOSYS, NO_USERS)


def _user() -> int:
    return _USER


def _groups() -> list[int]:
    return [_USER]


def _load() -> tuple[float, float, float]:
    return (0.0, 0.0, 0.0)


def _alarm(seconds: int, /) -> int:
    """Cancel the alarm, which is not set; setting one is an error."""
    if seconds:
        _no_alarm()
    return 0


def _no_alarm(*args: object) -> NoReturn:
    raise OSError(errno.ENOSYS, _NO_ALARM)


def _tzset() -> None:
    """Do nothing where ``TZ`` says UTC; else it is an error."""
    if os.environ.get("TZ", "") not in _UTC:
        raise OSError(errno.ENOSYS, _NO_ZONES)


def _get_clock_info(name: str, /) -> object:
    """Do what ``time.get_clock_info`` does, for ``thread_time`` too."""
    return _clock_info("process_time" if name == "thread_time" else name)


def _no_disk(path: object) -> NoReturn:
    raise OSError(errno.ENOSYS, _NO_DISK)
