"""Doctest use."""

import doctest, unittest, sys, io


def add(a, b):
    """Add.

    >>> add(1, 2)
    3
    >>> add("a", 1)
    Traceback (most recent call last):
    ...
    TypeError: can only concatenate str (not "int") to str
    >>> {"b": 1, "a": [1, ...]} # doctest: +ELLIPSIS
    {...}
    """
    return a + b


def bad():
    """
    >>> 1
    2
    """


class T(unittest.TestCase):
    def test(self):
        r = doctest.DocTestRunner(verbose=False)
        [r.run(t) for t in doctest.DocTestFinder().find(add, "add", globs={"add": add})]
        self.assertEqual(tuple(r.summarize(False))[:2], (0, 3))

    def test_bad(self):
        o = io.StringIO()
        r = doctest.DocTestRunner(verbose=False)
        [r.run(t, out=o.write) for t in doctest.DocTestFinder().find(bad, "bad", globs={})]
        self.assertIn("Expected:\n    2\nGot:\n    1\n", o.getvalue())

    def test_mod(self):
        m = sys.modules[__name__]
        self.assertEqual(doctest.testmod(m, verbose=False, report=False).attempted, 4)

    def test_suite(self):
        self.assertEqual(doctest.DocTestSuite(sys.modules[__name__]).countTestCases(), 2)


def _quiet():
    pass
