"""Tempfiles."""

import tempfile, os, unittest


class T(unittest.TestCase):
    def test_named(self):
        with tempfile.NamedTemporaryFile("w+", suffix=".txt", delete=False) as f:
            f.write("x")
        self.assertEqual(open(f.name).read(), "x")
        os.unlink(f.name)
        self.assertFalse(os.path.exists(f.name))

    def test_spool(self):
        with tempfile.SpooledTemporaryFile(max_size=10) as f:
            f.write(b"a" * 20)
            f.seek(0)
            self.assertEqual(len(f.read()), 20)

    def test_mkstemp(self):
        fd, p = tempfile.mkstemp()
        os.write(fd, b"q")
        os.close(fd)
        self.assertEqual(os.path.getsize(p), 1)
        os.remove(p)

    def test_tf(self):
        with tempfile.TemporaryFile() as f:
            f.write(b"1")
            f.seek(0)
            self.assertEqual(f.read(), b"1")

    def test_delete(self):
        with tempfile.NamedTemporaryFile() as f:
            n = f.name
            self.assertTrue(os.path.exists(n))
        self.assertFalse(os.path.exists(n))
