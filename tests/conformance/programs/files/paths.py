"""Paths."""

import os, pathlib, shutil, tempfile, unittest, glob, fnmatch, stat, time


class T(unittest.TestCase):
    def setUp(self):
        self.d = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.d)

    def test_walk(self):
        (self.d / "a/b").mkdir(parents=True)
        (self.d / "a/x.py").write_text("1")
        (self.d / "a/b/y.py").write_text("2")
        self.assertEqual(sorted((p.name for p in self.d.rglob("*.py"))), ["x.py", "y.py"])
        self.assertEqual(len(glob.glob(str(self.d / "**/*.py"), recursive=True)), 2)
        self.assertEqual(
            [(os.path.basename(r), sorted(ds), sorted(fs)) for r, ds, fs in os.walk(self.d / "a")],
            [("a", ["b"], ["x.py"]), ("b", [], ["y.py"])],
        )

    def test_move(self):
        (self.d / "s").write_text("x")
        shutil.move(self.d / "s", self.d / "t")
        self.assertFalse((self.d / "s").exists())
        (self.d / "dir").mkdir()
        shutil.copy2(self.d / "t", self.d / "dir")
        self.assertEqual((self.d / "dir/t").read_text(), "x")
        with self.assertRaises(FileExistsError):
            (self.d / "dir").mkdir()
        with self.assertRaises(OSError):
            os.rmdir(self.d / "dir")
        with self.assertRaises(shutil.Error):
            shutil.move(self.d / "t", self.d / "dir")

    def test_stat(self):
        f = self.d / "f"
        f.write_bytes(b"12345")
        os.utime(f, (100, 200))
        s = f.stat()
        self.assertEqual((s.st_size, s.st_atime, s.st_mtime), (5, 100, 200))
        self.assertTrue(stat.S_ISREG(s.st_mode))

    def test_chdir(self):
        old = os.getcwd()
        os.chdir(self.d)
        self.addCleanup(os.chdir, old)
        open("rel", "w").close()
        self.assertTrue((self.d / "rel").exists())
        self.assertEqual(os.path.realpath(os.getcwd()), os.path.realpath(self.d))

    def test_expand(self):
        os.environ["QQ"] = "zz"
        self.assertEqual(os.path.expandvars("$QQ/${QQ}"), "zz/zz")
        self.assertTrue(os.path.expanduser("~").startswith("/"))

    def test_perm(self):
        f = self.d / "p"
        f.touch(mode=384)
        self.assertEqual(stat.filemode(f.stat().st_mode), "-rw-------")
        f.chmod(292)
        self.assertEqual(oct(f.stat().st_mode)[-3:], "444")

    def test_disk(self):
        self.assertRaises(OSError, os.remove, self.d)
