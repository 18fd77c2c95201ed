"""Pools that run their work inline, when it is handed in: the results are those of threads, in order."""

import itertools
from multiprocessing import Pool, TimeoutError, cpu_count

__all__ = ["ApplyResult", "AsyncResult", "IMapIterator", "MapResult", "Pool", "ThreadPool", "TimeoutError"]


class ApplyResult:
    """The finished result of a call."""

    def __init__(self, call, callback=None, error_callback=None):
        self._value = self._error = None
        try:
            self._value = call()
        except Exception as error:
            self._error = error
        told = callback if self._error is None else error_callback
        if told:
            told(self._value if self._error is None else self._error)

    def ready(self):
        """Return True."""
        return True

    def successful(self):
        """Return whether the call raised nothing."""
        return self._error is None

    def wait(self, timeout=None):
        """Return at once."""

    def get(self, timeout=None):
        """Return the value, or raise what the call raised."""
        if self._error is not None:
            raise self._error
        return self._value


AsyncResult = MapResult = ApplyResult


class IMapIterator:
    """Calls the function for one item after the other, when the result is asked for."""

    def __init__(self, func, iterable):
        self._results = map(func, iterable)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._results)

    def next(self, timeout=None):
        """Return the next result."""
        return next(self._results)


class ThreadPool:
    """A pool that does its work inline."""

    def __init__(self, processes=None, initializer=None, initargs=()):
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._processes = processes or cpu_count()
        self._open = True
        if initializer is not None:
            initializer(*initargs)

    def _check(self):
        if not self._open:
            raise ValueError("Pool not running")

    def apply(self, func, args=(), kwds=None):
        """Call the function and return its value."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(self, func, args=(), kwds=None, callback=None, error_callback=None):
        """Call the function now and return its result, which is ready."""
        self._check()
        return ApplyResult(lambda: func(*args, **(kwds or {})), callback, error_callback)

    def map(self, func, iterable, chunksize=None):
        """Return what the function gives for each item."""
        return self.map_async(func, iterable).get()

    def map_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        """Call the function for each item now, and return the result, which is ready."""
        self._check()
        return ApplyResult(lambda: list(map(func, iterable)), callback, error_callback)

    def starmap(self, func, iterable, chunksize=None):
        """Return what the function gives for each tuple of arguments."""
        return self.starmap_async(func, iterable).get()

    def starmap_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        """Call the function for each tuple of arguments now, and return the result, which is ready."""
        self._check()
        return ApplyResult(lambda: list(itertools.starmap(func, iterable)), callback, error_callback)

    def imap(self, func, iterable, chunksize=1):
        """Return an iterator of what the function gives for each item."""
        self._check()
        return IMapIterator(func, iterable)

    imap_unordered = imap

    def close(self):
        """Take no more work."""
        self._open = False

    terminate = close

    def join(self):
        """Return at once. Raises ValueError if the pool is still open."""
        if self._open:
            raise ValueError("Pool is still running")

    def __enter__(self):
        self._check()
        return self

    def __exit__(self, *exc_info):
        self.terminate()
