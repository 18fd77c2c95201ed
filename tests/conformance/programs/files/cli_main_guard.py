"""Cli main guard."""

import sys, unittest, io, os, contextlib, runpy, tempfile, subprocess, importlib

SRC = "import sys\ndef main(argv=None):\n    argv = sys.argv[1:] if argv is None else argv\n    print('args', argv)\n    return len(argv)\nif __name__ == '__main__':\n    sys.exit(main())\n"


class T(unittest.TestCase):
    def setUp(self):
        self.d = tempfile.mkdtemp()
        self.p = os.path.join(self.d, "tool.py")
        open(self.p, "w").write(SRC)

    def test_run(self):
        old = sys.argv
        sys.argv = ["tool", "a", "b"]
        try:
            with contextlib.redirect_stdout(io.StringIO()) as o, self.assertRaises(SystemExit) as c:
                runpy.run_path(self.p, run_name="__main__")
        finally:
            sys.argv = old
        self.assertEqual((c.exception.code, o.getvalue()), (2, "args ['a', 'b']\n"))

    def test_import(self):
        sys.path.insert(0, self.d)
        try:
            m = importlib.import_module("tool")
            self.assertEqual(m.main([]), 0)
            self.assertEqual(os.path.dirname(m.__file__), self.d)
        finally:
            sys.path.remove(self.d)
            sys.modules.pop("tool", None)

    def test_module(self):
        sys.path.insert(0, self.d)
        try:
            with contextlib.redirect_stdout(io.StringIO()), self.assertRaises(SystemExit):
                runpy.run_module("tool", run_name="__main__", alter_sys=True)
        finally:
            sys.path.remove(self.d)
