"""Backup rotate."""

import os, shutil, time, datetime, zipfile, tempfile, unittest, hashlib
from unittest.mock import patch


def task(src, dst, now=None):
    if not os.path.isdir(src):
        raise FileNotFoundError(f"no such folder: {src}")
    name = os.path.join(dst, (now or datetime.datetime.now()).strftime("backup_%Y%m%d_%H%M%S"))
    return shutil.make_archive(name, "zip", src)


class T(unittest.TestCase):
    def test(self):
        s, d = (tempfile.mkdtemp(), tempfile.mkdtemp())
        open(os.path.join(s, "f"), "w").write("x")
        p = task(s, d, datetime.datetime(2024, 5, 6, 7, 8, 9))
        self.assertTrue(p.endswith("backup_20240506_070809.zip"))
        self.assertEqual(zipfile.ZipFile(p).read("f"), b"x")

    def test_missing(self):
        self.assertRaises(FileNotFoundError, task, "/nope", "/tmp")

    @patch("shutil.make_archive", side_effect=OSError(28, "No space left on device"))
    def test_full(self, m):
        with self.assertRaises(OSError) as c:
            task(tempfile.mkdtemp(), "/tmp")
        self.assertEqual(c.exception.errno, 28)

    def test_old(self):
        d = tempfile.mkdtemp()
        p = os.path.join(d, "o")
        open(p, "w").close()
        old = time.time() - 40 * 86400
        os.utime(p, (old, old))
        self.assertEqual(
            [f for f in os.listdir(d) if os.path.getmtime(os.path.join(d, f)) < time.time() - 30 * 86400], ["o"]
        )

    def test_hash(self):
        a = tempfile.mkdtemp()
        [open(os.path.join(a, n), "wb").write(b"same") for n in "xy"]
        seen = {}
        [
            seen.setdefault(hashlib.md5(open(os.path.join(a, n), "rb").read()).hexdigest(), []).append(n)
            for n in sorted(os.listdir(a))
        ]
        self.assertEqual(list(seen.values()), [["x", "y"]])
