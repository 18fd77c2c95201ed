"""Recursion depth."""

import sys, unittest, json, functools, copy, pickle, re, ast


class T(unittest.TestCase):
    def test_limit(self):

        def f(n):
            return 0 if n == 0 else 1 + f(n - 1)

        self.assertEqual(f(900), 900)
        self.assertRaises(RecursionError, f, 2000)

    def test_raise(self):
        old = sys.getrecursionlimit()
        sys.setrecursionlimit(20000)

        def f(n):
            return 0 if n == 0 else 1 + f(n - 1)

        try:
            self.assertEqual(f(15000), 15000)
        finally:
            sys.setrecursionlimit(old)

    def test_lru(self):

        @functools.lru_cache(None)
        def f(n):
            return 0 if n == 0 else 1 + f(n - 1)

        self.assertEqual(f(450), 450)

    def test_nest(self):
        self.assertEqual(eval("(" * 100 + "1" + ")" * 100), 1)
        self.assertRaises(SyntaxError, eval, "(" * 300 + "1" + ")" * 300)

    def test_sum(self):
        self.assertEqual(eval("+".join(["1"] * 3000)), 3000)

    def test_elif(self):
        src = "x = 777\nif x == 0: y = 0\n" + "".join((f"elif x == {i}: y = {i}\n" for i in range(1, 1000)))
        d = {}
        exec(src, d)
        self.assertEqual(d["y"], 777)

    def test_json(self):
        s = "[" * 900 + "]" * 900
        self.assertEqual(json.dumps(json.loads(s)).count("["), 900)

    def test_deepcopy(self):
        a = []
        for _ in range(200):
            a = [a]
        self.assertEqual(repr(copy.deepcopy(a)), repr(a))
        self.assertEqual(pickle.loads(pickle.dumps(a)), a)

    def test_repr(self):
        a = []
        for _ in range(100000):
            a = [a]
        self.assertRaises(RecursionError, repr, a)

    def test_cmp(self):
        a = b = []
        for _ in range(50000):
            a, b = ([a], [b])
        a2 = []
        for _ in range(50000):
            a2 = [a2]
        with self.assertRaises(RecursionError):
            a == a2

    def test_getattr(self):

        class G:
            def __getattr__(self, n):
                return getattr(self, n)

        self.assertRaises(RecursionError, getattr, G(), "x")

    def test_re(self):
        self.assertTrue(re.fullmatch("(a|b)*c", "ab" * 50000 + "c"))
