"""Os misc."""

import os, unittest, errno, stat, shutil, tempfile, filecmp, fileinput, linecache, sys, io
from unittest.mock import patch


class T(unittest.TestCase):
    def setUp(self):
        self.d = tempfile.mkdtemp()

    def j(self, *p):
        return os.path.join(self.d, *p)

    def test_scandir(self):
        open(self.j("a"), "w").close()
        os.mkdir(self.j("b"))
        with os.scandir(self.d) as it:
            self.assertEqual(sorted(((e.name, e.is_dir()) for e in it)), [("a", False), ("b", True)])

    def test_replace(self):
        open(self.j("a"), "w").write("1")
        open(self.j("b"), "w").write("2")
        os.replace(self.j("a"), self.j("b"))
        self.assertEqual(open(self.j("b")).read(), "1")

    def test_link(self):
        open(self.j("a"), "w").write("1")
        os.link(self.j("a"), self.j("h"))
        os.symlink("a", self.j("s"))
        self.assertEqual(os.stat(self.j("a")).st_nlink, 2)
        self.assertTrue(os.path.islink(self.j("s")))
        self.assertTrue(os.path.samefile(self.j("s"), self.j("h")))
        os.remove(self.j("a"))
        self.assertFalse(os.path.exists(self.j("s")))
        self.assertTrue(os.path.lexists(self.j("s")))

    def test_tree(self):
        os.makedirs(self.j("x/y/z"))
        os.makedirs(self.j("x/y/z"), exist_ok=True)
        shutil.copytree(self.j("x"), self.j("c"))
        os.removedirs(self.j("c/y/z"))
        self.assertFalse(os.path.exists(self.j("c")))

    def test_filecmp(self):
        open(self.j("a"), "w").write("1")
        open(self.j("b"), "w").write("1")
        self.assertTrue(filecmp.cmp(self.j("a"), self.j("b"), shallow=False))

    def test_fileinput(self):
        open(self.j("a"), "w").write("x\ny\n")
        with fileinput.input(self.j("a"), inplace=True) as f:
            for line in f:
                print(line.upper(), end="")
        self.assertEqual(open(self.j("a")).read(), "X\nY\n")

    def test_linecache(self):
        open(self.j("a.py"), "w").write("l1\nl2\n")
        self.assertEqual(linecache.getline(self.j("a.py"), 2), "l2\n")

    def test_errno(self):
        try:
            os.remove(self.j("n"))
        except OSError as e:
            self.assertEqual(
                (e.errno, e.strerror, e.filename), (errno.ENOENT, "No such file or directory", self.j("n"))
            )

    def test_strerror(self):
        self.assertEqual(os.strerror(13), "Permission denied")
        self.assertEqual(errno.errorcode[2], "ENOENT")

    def test_disk(self):
        with patch("shutil.disk_usage", return_value=(3, 2, 1)):
            self.assertEqual(shutil.disk_usage("/")[2], 1)

    def test_which(self):
        self.assertIsNone(shutil.which("no-such-prog-xyz"))

    def test_access(self):
        open(self.j("a"), "w").close()
        self.assertTrue(os.access(self.j("a"), os.R_OK))
        self.assertFalse(os.access(self.j("z"), os.F_OK))

    def test_chmod(self):
        open(self.j("a"), "w").close()
        os.chmod(self.j("a"), stat.S_IRUSR)
        self.assertEqual(stat.S_IMODE(os.stat(self.j("a")).st_mode), 256)

    def test_umask(self):
        o = os.umask(63)
        os.close(os.open(self.j("u"), os.O_CREAT | os.O_WRONLY))
        os.umask(o)
        self.assertEqual(stat.S_IMODE(os.stat(self.j("u")).st_mode) & 63, 0)

    def test_urandom(self):
        self.assertEqual(len(os.urandom(8)), 8)
        self.assertEqual(os.sep, "/")
        self.assertEqual(os.linesep, "\n")
        self.assertEqual(os.name, "posix")

    def test_getsize(self):
        self.assertRaises(FileNotFoundError, os.path.getsize, self.j("q"))

    def test_rmtree(self):
        shutil.rmtree(self.j("nope"), ignore_errors=True)
        self.assertRaises(FileNotFoundError, shutil.rmtree, self.j("nope"))

    def test_walk_bottom(self):
        os.makedirs(self.j("p/q"))
        self.assertEqual([os.path.basename(r) for r, _, _ in os.walk(self.j("p"), topdown=False)], ["q", "p"])

    def test_relpath(self):
        self.assertEqual(os.path.relpath("/a/b", "/a/c"), "../b")
        self.assertEqual(os.path.commonpath(["/a/b", "/a/c"]), "/a")
        self.assertEqual(os.path.splitext("a.tar.gz"), ("a.tar", ".gz"))

    def test_mtime(self):
        import time

        open(self.j("m"), "w").close()
        self.assertLess(abs(os.path.getmtime(self.j("m")) - time.time()), 5)
