"""Inspect things."""

import inspect, unittest, json, textwrap, ast, dis, io, types, sys


def f(a, /, b: int = 2, *args, c, d=4, **kw) -> str:
    """Doc."""
    return a


class K:
    x = 1

    def m(self):
        return 5


class T(unittest.TestCase):
    def test_sig(self):
        self.assertEqual(str(inspect.signature(f)), "(a, /, b: int = 2, *args, c, d=4, **kw) -> str")

    def test_source(self):
        self.assertTrue(inspect.getsource(f).startswith("def f(a, /"))
        self.assertIn("return 5", inspect.getsource(K.m))
        self.assertIn("class K", inspect.getsource(K))

    def test_lib(self):
        self.assertIn("def dumps", inspect.getsource(json.dumps))
        self.assertTrue(inspect.getsourcefile(json).endswith("json/__init__.py"))
        self.assertGreater(len(inspect.getsourcelines(textwrap)[0]), 100)

    def test_members(self):
        self.assertEqual([n for n, _ in inspect.getmembers(K, inspect.isfunction)], ["m"])

    def test_lambda(self):
        g = lambda x: x + 1
        self.assertIn("lambda x: x + 1", inspect.getsource(g))

    def test_frame(self):
        self.assertEqual(inspect.currentframe().f_code.co_name, "test_frame")
        self.assertEqual(inspect.stack()[0].function, "test_frame")
        self.assertIn("inspect.stack()", inspect.stack()[0].code_context[0])

    def test_dis(self):
        s = io.StringIO()
        dis.dis(K.m, file=s)
        self.assertIn("RETURN_CONST", s.getvalue())

    def test_ast(self):
        self.assertEqual(ast.unparse(ast.parse("x=1+2 if y else f(*a,**b)")), "x = 1 + 2 if y else f(*a, **b)")
        self.assertEqual(ast.literal_eval("{'a': [1, (2,)]}"), {"a": [1, (2,)]})

    def test_builtin(self):
        self.assertEqual(str(inspect.signature(sorted)), "(iterable, /, *, key=None, reverse=False)")
        self.assertTrue(inspect.isbuiltin(len))
        self.assertRaises(TypeError, inspect.getsource, len)
