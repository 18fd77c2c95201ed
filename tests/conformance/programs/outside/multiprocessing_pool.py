"""Multiprocessing pool."""

import unittest, multiprocessing, math
from multiprocessing import Pool
from unittest.mock import patch, MagicMock


def f(x):
    return x * x


def task(xs):
    with Pool(2) as p:
        return p.map(f, xs)


class T(unittest.TestCase):
    def test_patched(self):
        with patch(__name__ + ".Pool") as P:
            P.return_value.__enter__.return_value.map = lambda g, xs: list(map(g, xs))
            self.assertEqual(task([1, 2]), [1, 4])

    def test_cpu(self):
        self.assertGreaterEqual(multiprocessing.cpu_count(), 1)
        self.assertEqual(multiprocessing.current_process().name, "MainProcess")

    def test_threadpool(self):
        from multiprocessing.pool import ThreadPool

        with ThreadPool(3) as p:
            self.assertEqual(p.map(f, range(4)), [0, 1, 4, 9])
            self.assertEqual(p.starmap(pow, [(2, 3), (3, 2)]), [8, 9])
            self.assertEqual(p.apply_async(f, (5,)).get(timeout=5), 25)
            self.assertEqual(sorted(p.imap_unordered(f, [1, 2, 3])), [1, 4, 9])
