"""Pools of threads, on ``concurrent.futures``."""

import collections
import concurrent.futures
from multiprocessing import Pool, TimeoutError, cpu_count

__all__ = ["ApplyResult", "AsyncResult", "IMapIterator", "MapResult", "Pool", "ThreadPool", "TimeoutError"]


class ApplyResult:
    """The result of a call, when it is there."""

    def __init__(self, futures, callback=None, error_callback=None):
        self._futures = futures
        self._left = len(futures)
        self._callback, self._error_callback = callback, error_callback
        for future in futures:
            future.add_done_callback(self._count)
        if not futures:
            self._tell()

    def _count(self, _):
        self._left -= 1
        if not self._left:
            self._tell()

    def _tell(self):
        try:
            value = self._value()
        except Exception as error:
            if self._error_callback:
                self._error_callback(error)
        else:
            if self._callback:
                self._callback(value)

    def _value(self):
        return self._futures[0].result()

    def ready(self):
        """Return whether it is there."""
        return all(future.done() for future in self._futures)

    def successful(self):
        """Return whether the call raised nothing. Raises ValueError if it is not there yet."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return all(future.exception() is None for future in self._futures)

    def wait(self, timeout=None):
        """Wait for it, or for so many seconds."""
        concurrent.futures.wait(self._futures, timeout)

    def get(self, timeout=None):
        """Wait for the value and return it, or raise what the call raised, or TimeoutError after so many seconds."""
        self.wait(timeout)
        if not self.ready():
            raise TimeoutError
        return self._value()


AsyncResult = ApplyResult


class MapResult(ApplyResult):
    """The results of a call for each item."""

    def _value(self):
        return [future.result() for future in self._futures]


class IMapIterator:
    """The results of a call for each item, one after the other."""

    def __init__(self, futures):
        self._futures = collections.deque(futures)

    def __iter__(self):
        return self

    def _next(self):
        return self._futures[0]

    def __next__(self):
        return self.next()

    def next(self, timeout=None):
        """Return the next result, or raise what its call raised. Raises TimeoutError after so many seconds."""
        if not self._futures:
            raise StopIteration
        future = self._next()
        if not concurrent.futures.wait([future], timeout).done:
            raise TimeoutError
        self._futures.remove(future)
        return future.result()


class _Unordered(IMapIterator):
    def _next(self):
        done = concurrent.futures.wait(self._futures, return_when=concurrent.futures.FIRST_COMPLETED).done
        return next(future for future in self._futures if future in done)


class ThreadPool:
    """A pool of worker threads."""

    def __init__(self, processes=None, initializer=None, initargs=()):
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._processes = processes or cpu_count()
        self._open = True
        self._executor = concurrent.futures.ThreadPoolExecutor(self._processes, "", initializer, initargs)

    def _submit(self, func, calls):
        if not self._open:
            raise ValueError("Pool not running")
        return [self._executor.submit(func, *args) for args in calls]

    def apply(self, func, args=(), kwds=None):
        """Call the function and return its value."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(self, func, args=(), kwds=None, callback=None, error_callback=None):
        """Have a worker call the function, and return its result to come."""
        futures = self._submit(lambda: func(*args, **(kwds or {})), [()])
        return ApplyResult(futures, callback, error_callback)

    def map(self, func, iterable, chunksize=None):
        """Return what the function gives for each item."""
        return self.map_async(func, iterable).get()

    def map_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        """Have workers call the function for each item, and return the results to come."""
        return MapResult(self._submit(func, zip(iterable)), callback, error_callback)

    def starmap(self, func, iterable, chunksize=None):
        """Return what the function gives for each tuple of arguments."""
        return self.starmap_async(func, iterable).get()

    def starmap_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        """Have workers call the function for each tuple of arguments, and return the results to come."""
        return MapResult(self._submit(func, iterable), callback, error_callback)

    def imap(self, func, iterable, chunksize=1):
        """Return an iterator of what the function gives for each item, in order."""
        return IMapIterator(self._submit(func, zip(iterable)))

    def imap_unordered(self, func, iterable, chunksize=1):
        """Return an iterator of what the function gives for each item, in the order in which it is there."""
        return _Unordered(self._submit(func, zip(iterable)))

    def close(self):
        """Take no more work. What was taken is done."""
        self._open = False
        self._executor.shutdown(wait=False)

    def terminate(self):
        """Take no more work, and give up what no worker has begun."""
        self._open = False
        self._executor.shutdown(wait=False, cancel_futures=True)

    def join(self):
        """Wait until the workers have ended. Raises ValueError if the pool is still open."""
        if self._open:
            raise ValueError("Pool is still running")
        self._executor.shutdown(wait=True)

    def __enter__(self):
        if not self._open:
            raise ValueError("Pool not running")
        return self

    def __exit__(self, *exc_info):
        self.terminate()
