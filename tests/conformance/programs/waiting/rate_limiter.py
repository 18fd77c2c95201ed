"""Rate limiter."""

import time, functools, collections, unittest, threading, itertools
from unittest.mock import patch


class Limiter:
    def __init__(self, n, per):
        self.n, self.per, self.calls = (n, per, collections.deque())

    def __call__(self, f):

        @functools.wraps(f)
        def inner(*a, **k):
            now = time.monotonic()
            while self.calls and now - self.calls[0] > self.per:
                self.calls.popleft()
            if len(self.calls) >= self.n:
                raise RuntimeError("rate limit")
            self.calls.append(now)
            return f(*a, **k)

        return inner


def retry(times, exc=Exception, delay=0):

    def deco(f):

        @functools.wraps(f)
        def inner(*a, **k):
            for i in itertools.count(1):
                try:
                    return f(*a, **k)
                except exc:
                    if i >= times:
                        raise
                    time.sleep(delay * 2**i)

        return inner

    return deco


class T(unittest.TestCase):
    def test(self):
        f = Limiter(2, 10)(lambda: 1)
        f()
        f()
        self.assertRaises(RuntimeError, f)
        with patch("time.monotonic", return_value=time.monotonic() + 11):
            self.assertEqual(f(), 1)

    def test_retry(self):
        n = []

        @retry(3, ValueError, 0.001)
        def g():
            n.append(1)
            if len(n) < 3:
                raise ValueError
            return "ok"

        self.assertEqual(g(), "ok")
        self.assertEqual(g.__name__, "g")

    def test_backoff(self):
        with patch("time.sleep") as s:
            with self.assertRaises(ZeroDivisionError):
                retry(3, delay=1)(lambda: 1 / 0)()
            self.assertEqual([c.args[0] for c in s.call_args_list], [2, 4])
