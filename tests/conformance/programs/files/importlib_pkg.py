"""Importlib pkg."""

import importlib, importlib.util, pkgutil, sys, os, tempfile, unittest, runpy, zipfile, types


def task(name):
    if importlib.util.find_spec(name) is None:
        raise ImportError(f"The package '{name}' is not installed.")
    return [m for _, m, _ in pkgutil.iter_modules(importlib.import_module(name).__path__)]


class T(unittest.TestCase):
    def test(self):
        self.assertIn("decoder", task("json"))

    def test_missing(self):
        self.assertRaises(ImportError, task, "nonexistent_pkg_xyz")
        self.assertRaises(ModuleNotFoundError, importlib.import_module, "nope.nope")

    def test_numpy(self):
        self.assertRaises(ImportError, task, "qnumpy")

    def test_spec(self):
        d = tempfile.mkdtemp()
        p = os.path.join(d, "mymod.py")
        open(p, "w").write("X = 5\ndef f(): return __name__\n")
        s = importlib.util.spec_from_file_location("mymod", p)
        m = importlib.util.module_from_spec(s)
        s.loader.exec_module(m)
        self.assertEqual((m.X, m.f(), m.__file__), (5, "mymod", p))

    def test_path(self):
        d = tempfile.mkdtemp()
        os.makedirs(d + "/pk/sub")
        open(d + "/pk/__init__.py", "w").write("from .sub.a import V")
        open(d + "/pk/sub/__init__.py", "w")
        open(d + "/pk/sub/a.py", "w").write("V = 3")
        sys.path.insert(0, d)
        try:
            import pk

            self.assertEqual(pk.V, 3)
            importlib.reload(pk)
            self.assertEqual([m.name for m in pkgutil.walk_packages(pk.__path__, "pk.")], ["pk.sub", "pk.sub.a"])
        finally:
            sys.path.remove(d)

    def test_runpy(self):
        d = tempfile.mkdtemp()
        p = d + "/s.py"
        open(p, "w").write("import sys\nR = (__name__, sys.argv[0])")
        self.assertEqual(runpy.run_path(p, run_name="__main__")["R"], ("__main__", p))

    def test_zip(self):
        d = tempfile.mkdtemp()
        z = d + "/z.zip"
        with zipfile.ZipFile(z, "w") as f:
            f.writestr("zmod.py", "Q = 9")
        sys.path.insert(0, z)
        try:
            import zmod

            self.assertEqual(zmod.Q, 9)
        finally:
            sys.path.remove(z)

    def test_types(self):
        m = types.ModuleType("dyn")
        exec("a = 1", m.__dict__)
        sys.modules["dyn"] = m
        import dyn

        self.assertEqual(dyn.a, 1)

    def test_partial(self):
        with self.assertRaisesRegex(ImportError, "cannot import name 'nope' from 'json'"):
            from json import nope
