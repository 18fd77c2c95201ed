"""Option parsers."""

import optparse, getopt, shlex, io, unittest, contextlib, argparse


class T(unittest.TestCase):
    def test_getopt(self):
        self.assertEqual(
            getopt.getopt(["-a", "1", "--long", "x"], "a:", ["long"]), ([("-a", "1"), ("--long", "")], ["x"])
        )
        self.assertRaises(getopt.GetoptError, getopt.getopt, ["-z"], "a")

    def test_optparse(self):
        p = optparse.OptionParser()
        p.add_option("-n", type="int", default=3)
        self.assertEqual(p.parse_args(["-n", "5", "q"])[0].n, 5)

    def test_shlex(self):
        self.assertEqual(shlex.split("a 'b c' \"d\" e\\ f"), ["a", "b c", "d", "e f"])
        self.assertEqual(shlex.join(["a b", "c"]), "'a b' c")
        self.assertRaises(ValueError, shlex.split, "'x")

    def test_sub(self):
        p = argparse.ArgumentParser(prog="p")
        s = p.add_subparsers(dest="c", required=True)
        a = s.add_parser("add")
        a.add_argument("--x", type=float, choices=[1.0, 2.0])
        self.assertEqual(vars(p.parse_args(["add", "--x", "2"])), {"c": "add", "x": 2.0})
        with contextlib.redirect_stderr(io.StringIO()) as e, self.assertRaises(SystemExit):
            p.parse_args(["nope"])
        self.assertIn("invalid choice: 'nope'", e.getvalue())
