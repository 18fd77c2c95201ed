"""Argparse cli."""

import argparse, io, unittest, sys, contextlib


def task(argv):
    p = argparse.ArgumentParser(prog="x", description="d")
    p.add_argument("n", type=int)
    p.add_argument("--v", action="store_true", help="be loud")
    s = p.parse_args(argv)
    return (s.n, s.v)


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(task(["3", "--v"]), (3, True))

    def test_bad(self):
        e = io.StringIO()
        with contextlib.redirect_stderr(e), self.assertRaises(SystemExit) as c:
            task(["q"])
        self.assertEqual(c.exception.code, 2)
        self.assertEqual(e.getvalue(), "usage: x [-h] [--v] n\nx: error: argument n: invalid int value: 'q'\n")

    def test_help(self):
        o = io.StringIO()
        with contextlib.redirect_stdout(o), self.assertRaises(SystemExit) as c:
            task(["-h"])
        self.assertEqual(c.exception.code, 0)
        self.assertIn("be loud", o.getvalue())

    def test_argv(self):
        from unittest.mock import patch

        with patch.object(sys, "argv", ["prog", "5"]):
            self.assertEqual(argparse.ArgumentParser().parse_known_args()[1], ["5"])
