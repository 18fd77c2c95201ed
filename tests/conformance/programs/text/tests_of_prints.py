"""Tests of prints."""

import unittest, io, sys, contextlib, builtins, pprint, traceback, warnings, logging
from unittest.mock import patch


def task(n):
    for i in range(n):
        print(i, end=" " if i < n - 1 else "\n", sep="", file=sys.stdout, flush=True)
    print("warn", file=sys.stderr)


class T(unittest.TestCase):
    @patch("sys.stdout", new_callable=io.StringIO)
    def test(self, o):
        task(3)
        self.assertEqual(o.getvalue(), "0 1 2\n")

    def test_err(self):
        with contextlib.redirect_stderr(io.StringIO()) as e, contextlib.redirect_stdout(io.StringIO()):
            task(0)
        self.assertEqual(e.getvalue(), "warn\n")

    def test_pp(self):
        s = io.StringIO()
        pprint.pprint({"b": [1] * 3, "a": None}, stream=s, width=10)
        self.assertEqual(s.getvalue(), "{'a': None,\n 'b': [1,\n       1,\n       1]}\n")

    def test_tb(self):
        s = io.StringIO()
        try:
            raise OSError(2, "m", "f")
        except OSError:
            traceback.print_exc(file=s)
        self.assertEqual(s.getvalue().splitlines()[-1], "FileNotFoundError: [Errno 2] m: 'f'")

    def test_warn(self):
        s = io.StringIO()
        with contextlib.redirect_stderr(s):
            warnings.simplefilter("always")
            warnings.warn("careful", UserWarning)
        self.assertIn("UserWarning: careful", s.getvalue())

    def test_log_last(self):
        s = io.StringIO()
        with contextlib.redirect_stderr(s):
            logging.getLogger("fresh.one").warning("to stderr")
        self.assertIn("to stderr", s.getvalue())

    def test_displayhook(self):
        with contextlib.redirect_stdout(io.StringIO()) as o:
            sys.displayhook(3)
        self.assertEqual(o.getvalue(), "3\n")

    def test_unraisable(self):
        got = []
        old = sys.unraisablehook
        sys.unraisablehook = lambda a: got.append(type(a.exc_value).__name__)

        class D:
            def __del__(self):
                raise ValueError

        D()
        sys.unraisablehook = old
        self.assertEqual(got, ["ValueError"])

    def test_excepthook(self):
        self.assertIs(sys.excepthook, sys.__excepthook__)
