"""Pdb cmd."""

import pdb, io, unittest, cmd, code, sys
from unittest.mock import patch


def buggy(x):
    y = x + 1
    return y


class Sh(cmd.Cmd):
    prompt = "> "

    def do_hi(self, a):
        """Say hi"""
        self.stdout.write("hi " + a + "\n")

    def do_q(self, a):
        return True


class T(unittest.TestCase):
    def test_pdb(self):
        o = io.StringIO()
        d = pdb.Pdb(stdin=io.StringIO("n\np x\nc\n"), stdout=o, nosigint=True, readrc=False)
        self.assertEqual(d.runcall(buggy, 3), 4)
        self.assertIn("-> y = x + 1", o.getvalue())
        self.assertIn("(Pdb) 3", o.getvalue())

    def test_bp(self):
        with patch("sys.breakpointhook") as b:
            breakpoint()
            b.assert_called_once()

    def test_cmd(self):
        o = io.StringIO()
        s = Sh(stdin=io.StringIO("hi bob\nhelp hi\nq\n"), stdout=o)
        s.use_rawinput = False
        s.cmdloop()
        self.assertIn("hi bob", o.getvalue())
        self.assertIn("Say hi", o.getvalue())

    def test_code(self):
        c = code.InteractiveConsole({"a": 1})
        o = io.StringIO()
        with patch("sys.stdout", o):
            c.push("a + 1")
        self.assertEqual(o.getvalue(), "2\n")
