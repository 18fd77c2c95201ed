"""What there is of ``multiprocessing`` without processes: locks, queues, a count of processors, and pools of threads.

Whatever would start a process says why there is none. ``multiprocessing.pool.ThreadPool`` and ``multiprocessing.dummy``
work, on threads.
"""

import errno
import os
import queue
import sys
import threading

from cloche_guest.unsupported.reasons import NO_PROCESSES

__all__ = [
    "Array",
    "AuthenticationError",
    "Barrier",
    "BoundedSemaphore",
    "BufferTooShort",
    "Condition",
    "Event",
    "JoinableQueue",
    "Lock",
    "Manager",
    "Pipe",
    "Pool",
    "Process",
    "ProcessError",
    "Queue",
    "RLock",
    "RawArray",
    "RawValue",
    "Semaphore",
    "SimpleQueue",
    "TimeoutError",
    "Value",
    "active_children",
    "cpu_count",
    "current_process",
    "freeze_support",
    "get_all_start_methods",
    "get_context",
    "get_logger",
    "get_start_method",
    "log_to_stderr",
    "parent_process",
    "set_executable",
    "set_start_method",
]

_INLINE = f"{NO_PROCESSES}; use multiprocessing.pool.ThreadPool, which runs the work in threads"

Barrier, BoundedSemaphore, Condition, Event = (
    threading.Barrier,
    threading.BoundedSemaphore,
    threading.Condition,
    threading.Event,
)
Lock, RLock, Semaphore = threading.Lock, threading.RLock, threading.Semaphore
Queue = JoinableQueue = queue.Queue
SimpleQueue = queue.SimpleQueue


class ProcessError(Exception):
    """The root of this module's errors."""


class BufferTooShort(ProcessError):
    """A message is longer than the buffer for it."""


class TimeoutError(ProcessError):
    """A result is not there in time."""


class AuthenticationError(ProcessError):
    """The other side has another key."""


class Process:
    """A process that can be made, and not started."""

    def __init__(self, group=None, target=None, name=None, args=(), kwargs=None, *, daemon=None):
        self._target, self._args, self._kwargs = target, tuple(args), dict(kwargs or {})
        self.name = name or type(self).__name__
        self.daemon = bool(daemon)
        self.pid = self.ident = self.exitcode = None

    def run(self):
        """Call the target."""
        if self._target:
            self._target(*self._args, **self._kwargs)

    def start(self):
        """Raise OSError."""
        raise OSError(errno.ENOSYS, _INLINE)

    def is_alive(self):
        """Return False."""
        return False

    def join(self, timeout=None):
        """Raise AssertionError, as of any process that was not started."""
        raise AssertionError("can only join a started process")


class _MainProcess(Process):
    def __init__(self):
        super().__init__(name="MainProcess")
        self.pid = self.ident = os.getpid()

    def is_alive(self):
        return True


_main = _MainProcess()


def _refuse(*args, **kwargs):
    raise OSError(errno.ENOSYS, _INLINE)


Array = Manager = Pipe = Pool = RawArray = RawValue = Value = _refuse


def cpu_count():
    """Return 1."""
    return os.cpu_count() or 1


def current_process():
    """Return what stands for the only process."""
    return _main


def parent_process():
    """Return None."""


def active_children():
    """Return no processes."""
    return []


def freeze_support():
    """Do nothing."""


def set_start_method(method, force=False):
    """Do nothing: nothing is started."""


def set_executable(executable):
    """Do nothing: nothing is started."""


def get_start_method(allow_none=False):
    """Return ``spawn``."""
    return "spawn"


def get_all_start_methods():
    """Return ``spawn`` alone."""
    return ["spawn"]


def get_context(method=None):
    """Return this module, which has what a context has."""
    return sys.modules[__name__]


def get_logger():
    """Return the logger that others of this module write to."""
    import logging

    return logging.getLogger("multiprocessing")


def log_to_stderr(level=None):
    """Let the logger write to stderr, and return it."""
    import logging

    logger = get_logger()
    logger.addHandler(logging.StreamHandler())
    if level:
        logger.setLevel(level)
    return logger
