"""Itertools ops."""

import itertools, functools, operator, collections, heapq, bisect, unittest, sys


class T(unittest.TestCase):
    def test_product(self):
        self.assertEqual(len(list(itertools.product("ab", repeat=3))), 8)
        self.assertEqual(["".join(x) for x in itertools.combinations("abc", 2)], ["ab", "ac", "bc"])

    def test_group(self):
        self.assertEqual([(k, len(list(g))) for k, g in itertools.groupby("aabccc")], [("a", 2), ("b", 1), ("c", 3)])

    def test_islice_big(self):
        self.assertEqual(list(itertools.islice(itertools.count(10**12), 10**0, 3)), [10**12 + 1, 10**12 + 2])
        self.assertEqual(list(itertools.islice("abc", 10**10)), ["a", "b", "c"])

    def test_heap(self):
        self.assertEqual(
            heapq.nlargest(2, {"a": 1, "b": 3, "c": 2}.items(), key=operator.itemgetter(1)), [("b", 3), ("c", 2)]
        )
        self.assertEqual(list(heapq.merge([1, 4], [2, 3])), [1, 2, 3, 4])

    def test_bisect(self):
        self.assertEqual(bisect.bisect_left([1, 2, 2, 3], 2), 1)
        self.assertEqual(bisect.bisect([{"a": 1}, {"a": 5}], 3, key=lambda d: d["a"]), 1)

    def test_deque(self):
        self.assertEqual(list(collections.deque(range(5), maxlen=10**10)), [0, 1, 2, 3, 4])
        d = collections.deque("abc")
        d.rotate(1)
        self.assertEqual(list(d), ["c", "a", "b"])

    def test_chainmap(self):
        self.assertEqual(dict(collections.ChainMap({"a": 1}, {"a": 2, "b": 3})), {"a": 1, "b": 3})

    def test_partial(self):
        self.assertEqual(repr(functools.partial(int, base=2)), "functools.partial(<class 'int'>, base=2)")

    def test_dispatch(self):

        @functools.singledispatch
        def f(x):
            return "o"

        @f.register
        def _(x: int):
            return "i"

        self.assertEqual((f(1), f("")), ("i", "o"))

    def test_batched(self):
        self.assertEqual(list(itertools.batched("abcde", 2)), [("a", "b"), ("c", "d"), ("e",)])

    def test_len(self):
        self.assertEqual(len(range(10**10)), 10**10)
        self.assertEqual(range(10**20)[-1], 10**20 - 1)

    def test_inf(self):
        self.assertEqual(min([5, 3], default=sys.maxsize), 3)
        self.assertGreater(sys.maxsize, 10**15)
