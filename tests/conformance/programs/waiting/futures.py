"""Futures."""

import unittest, time
from concurrent.futures import (
    ThreadPoolExecutor,
    as_completed,
    wait,
    FIRST_COMPLETED,
    ProcessPoolExecutor,
    TimeoutError,
)


def task(xs):
    with ThreadPoolExecutor(max_workers=3) as ex:
        fs = {ex.submit(pow, x, 2): x for x in xs}
        return {fs[f]: f.result() for f in as_completed(fs)}


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(task([1, 2, 3]), {1: 1, 2: 4, 3: 9})

    def test_exc(self):
        with ThreadPoolExecutor() as ex:
            f = ex.submit(lambda: 1 / 0)
            self.assertIsInstance(f.exception(), ZeroDivisionError)
            with self.assertRaises(ZeroDivisionError):
                f.result()

    def test_wait(self):
        with ThreadPoolExecutor() as ex:
            d, n = wait([ex.submit(int, "1"), ex.submit(int, "2")])
            self.assertEqual(len(d), 2)

    def test_map_timeout(self):
        with ThreadPoolExecutor() as ex:
            self.assertEqual(list(ex.map(str, [1, 2], timeout=5)), ["1", "2"])

    def test_initializer(self):
        seen = []
        with ThreadPoolExecutor(1, initializer=seen.append, initargs=(1,)) as ex:
            ex.submit(int).result()
        self.assertEqual(seen, [1])

    def test_callback(self):
        out = []
        with ThreadPoolExecutor() as ex:
            ex.submit(lambda: 5).add_done_callback(lambda f: out.append(f.result()))
        self.assertEqual(out, [5])

    def test_after_shutdown(self):
        ex = ThreadPoolExecutor()
        ex.shutdown()
        with self.assertRaises(RuntimeError):
            ex.submit(int)
