"""Generators coro."""

import unittest, asyncio, types, collections.abc, itertools


def gen():
    try:
        x = yield 1
        while x:
            x = yield (x * 2)
    finally:
        log.append("fin")


log = []


class T(unittest.TestCase):
    def test(self):
        g = gen()
        self.assertEqual((next(g), g.send(4)), (1, 8))
        g.close()
        self.assertEqual(log[-1], "fin")

    def test_throw(self):
        g = gen()
        next(g)
        with self.assertRaises(KeyError):
            g.throw(KeyError("a"))

    def test_from(self):

        def inner():
            r = yield from range(3)
            return 9

        def outer():
            return (yield from inner())

        g = outer()
        out = []
        try:
            while True:
                out.append(next(g))
        except StopIteration as e:
            out.append(e.value)
        self.assertEqual(out, [0, 1, 2, 9])

    def test_agen(self):

        async def a():
            for i in range(3):
                yield i

        async def m():
            return [x async for x in a()]

        self.assertEqual(asyncio.run(m()), [0, 1, 2])

    def test_runtime(self):

        def g():
            yield next(iter([]))

        with self.assertRaisesRegex(RuntimeError, "generator raised StopIteration"):
            list(g())

    def test_deep(self):

        def r(n):
            if n:
                yield from r(n - 1)
            yield n

        self.assertEqual(sum(r(300)), 45150)
