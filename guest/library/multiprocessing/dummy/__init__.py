"""The interface of ``multiprocessing`` over threads."""

import array
import builtins
import queue
import sys
import threading
from multiprocessing import cpu_count, freeze_support
from multiprocessing.pool import ThreadPool
from threading import Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore, current_thread

__all__ = [
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "JoinableQueue",
    "Lock",
    "Manager",
    "Pool",
    "Process",
    "Queue",
    "RLock",
    "Semaphore",
    "active_children",
    "cpu_count",
    "current_process",
    "freeze_support",
]

Queue = JoinableQueue = queue.Queue
current_process = current_thread
dict, list = builtins.dict, builtins.list


class Process(threading.Thread):
    """A thread with a process's attributes."""

    @property
    def exitcode(self):
        """0 once it has ended, None before."""
        return 0 if self._started.is_set() and not self.is_alive() else None


class Namespace:
    """Attributes."""

    def __init__(self, /, **attributes):
        self.__dict__.update(attributes)


class Value:
    """A value in a box."""

    def __init__(self, typecode, value, lock=True):
        self.typecode, self.value = typecode, value


def Array(typecode, sequence, lock=True):
    """Return an array."""
    return array.array(typecode, sequence)


def Manager():
    """Return this module, which has what a manager has."""
    return sys.modules[__name__]


def Pool(processes=None, initializer=None, initargs=()):
    """Return a pool of threads."""
    return ThreadPool(processes, initializer, initargs)


def active_children():
    """Return no processes."""
    return []


def shutdown():
    """Do nothing."""
