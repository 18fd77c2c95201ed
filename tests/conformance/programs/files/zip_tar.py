"""Zip tar."""

import zipfile, tarfile, io, os, tempfile, unittest, gzip, bz2, lzma, shutil, stat


class T(unittest.TestCase):
    def setUp(self):
        self.d = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.d)

    def test_zip(self):
        p = os.path.join(self.d, "a.zip")
        with zipfile.ZipFile(p, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("a/b.txt", "hi")
            z.writestr("c.bin", b"\x00" * 1000)
        with zipfile.ZipFile(p) as z:
            self.assertEqual(z.namelist(), ["a/b.txt", "c.bin"])
            self.assertIsNone(z.testzip())
            z.extractall(self.d)
            self.assertEqual(z.getinfo("c.bin").file_size, 1000)
        self.assertEqual(open(os.path.join(self.d, "a", "b.txt")).read(), "hi")

    def test_badzip(self):
        p = os.path.join(self.d, "b.zip")
        open(p, "w").write("x")
        with self.assertRaises(zipfile.BadZipFile):
            zipfile.ZipFile(p)

    def test_tar(self):
        src = os.path.join(self.d, "src")
        os.makedirs(src)
        f = os.path.join(src, "x.sh")
        open(f, "w").write("#!")
        os.chmod(f, 493)
        os.symlink("x.sh", os.path.join(src, "l"))
        for mode in ("gz", "bz2", "xz"):
            p = os.path.join(self.d, "t." + mode)
            with tarfile.open(p, "w:" + mode) as t:
                t.add(src, arcname="src")
            out = os.path.join(self.d, mode)
            with tarfile.open(p) as t:
                t.extractall(out, filter="data")
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(out, "src", "x.sh")).st_mode), 493)
            self.assertEqual(os.readlink(os.path.join(out, "src", "l")), "x.sh")

    def test_archive(self):
        src = os.path.join(self.d, "s")
        os.makedirs(src)
        open(os.path.join(src, "q"), "w").write("1")
        a = shutil.make_archive(os.path.join(self.d, "out"), "zip", src)
        shutil.unpack_archive(a, os.path.join(self.d, "un"))
        self.assertEqual(os.listdir(os.path.join(self.d, "un")), ["q"])

    def test_gz(self):
        for m in (gzip, bz2, lzma):
            self.assertEqual(m.decompress(m.compress(b"abc" * 100)), b"abc" * 100)
