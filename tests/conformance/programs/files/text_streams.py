"""Text streams."""

import io, sys, os, unittest, codecs, contextlib, tempfile


class T(unittest.TestCase):
    def test_wrap(self):
        b = io.BytesIO()
        t = io.TextIOWrapper(b, encoding="utf-16", newline="\r\n")
        t.write("a\n")
        t.flush()
        self.assertEqual(b.getvalue(), b"\xff\xfea\x00\r\x00\n\x00")

    def test_redirect(self):
        o = io.StringIO()
        with contextlib.redirect_stdout(o):
            print("x")
            sys.stdout.write("y")
        self.assertEqual(o.getvalue(), "x\ny")

    def test_swap(self):
        old = sys.stdout
        sys.stdout = o = io.StringIO()
        try:
            print("in")
        finally:
            sys.stdout = old
        self.assertEqual(o.getvalue(), "in\n")

    def test_swap_dunder(self):
        sys.stdout = o = io.StringIO()
        print("q")
        sys.stdout = sys.__stdout__
        self.assertEqual(o.getvalue(), "q\n")

    def test_encoding(self):
        p = tempfile.mkstemp()[1]
        open(p, "w", encoding="cp1252").write("é")
        self.assertEqual(open(p, "rb").read(), b"\xe9")
        self.assertRaises(UnicodeDecodeError, open(p, encoding="utf-8").read)
        self.assertEqual(codecs.open(p, encoding="latin-1").read(), "é")
        self.assertEqual(open(p).encoding.lower(), "utf-8")

    def test_seek(self):
        with tempfile.TemporaryFile("w+") as f:
            f.write("héllo\nwörld\n")
            f.seek(0)
            f.readline()
            pos = f.tell()
            self.assertEqual(f.read(), "wörld\n")
            f.seek(pos)
            self.assertEqual(f.readline(), "wörld\n")
            f.truncate(3)
            f.seek(0)
            self.assertEqual(f.read(), "hé")

    def test_fd(self):
        r = os.open("/tmp/fdtest", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 384)
        os.write(r, b"abc")
        os.lseek(r, 1, 0)
        self.assertEqual(os.read(r, 5), b"bc")
        os.ftruncate(r, 1)
        self.assertEqual(os.fstat(r).st_size, 1)
        os.close(r)
        self.assertRaises(OSError, os.close, r)

    def test_modes(self):
        p = "/tmp/modes"
        open(p, "w").write("1")
        open(p, "a").write("2")
        self.assertEqual(open(p).read(), "12")
        self.assertRaises(FileExistsError, open, p, "x")
        self.assertRaises(io.UnsupportedOperation, open(p).write, "x")
        f = open(p, "r+")
        f.seek(1)
        f.write("9")
        f.close()
        self.assertEqual(open(p).read(), "19")

    def test_closed(self):
        f = open("/tmp/cl", "w")
        f.close()
        with self.assertRaisesRegex(ValueError, "I/O operation on closed file"):
            f.write("x")

    def test_buffered(self):
        r = io.BufferedReader(io.BytesIO(b"abcdef"))
        self.assertEqual(r.peek(2)[:2], b"ab")
        self.assertEqual(r.read(3), b"abc")

    def test_isatty(self):
        self.assertFalse(sys.stdin.isatty() and False)
        self.assertIsInstance(sys.stdout.isatty(), bool)

    def test_devnull(self):
        with open(os.devnull, "w") as f, contextlib.redirect_stdout(f):
            print("gone")
        self.assertEqual(open("/dev/null").read(), "")
