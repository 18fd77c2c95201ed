"""Exec eval."""

import unittest, builtins, types, sys


class T(unittest.TestCase):
    def test(self):
        d = {}
        exec("def f(x):\n return x*2\ny=f(3)", d)
        self.assertEqual(d["y"], 6)
        self.assertEqual(eval("a+b", {"a": 1}, {"b": 2}), 3)
        with self.assertRaises(NameError):
            eval("len(x)", {"__builtins__": {}, "x": []})

    def test_locals(self):
        x = 5
        self.assertEqual(eval("x"), 5)
        self.assertIn("x", locals())
        self.assertIn("unittest", globals())

    def test_type(self):
        C = type("C", (), {"a": 1})
        self.assertEqual(C().a, 1)
        f = types.FunctionType(compile("def g(): return 3", "x", "exec").co_consts[0], {})
        self.assertEqual(f(), 3)

    def test_dir(self):
        self.assertEqual(sorted((n for n in dir(builtins) if "cloche" in n.lower())), [])

    def test_main(self):
        self.assertEqual(__name__, "__main__")
        self.assertTrue(__file__.endswith("main.py"))
        self.assertEqual(sys.argv[0], __file__)

    def test_ids(self):
        self.assertEqual(len({id(object()) for _ in range(3)}) >= 1, True)
        self.assertIsInstance(hash("a"), int)
