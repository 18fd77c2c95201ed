"""Codecs binary."""

import codecs, binascii, base64, struct, zlib, gzip, io, unittest, quopri, uuid, array, sys, bz2, lzma


class T(unittest.TestCase):
    def test_b(self):
        self.assertEqual(base64.b32encode(b"hi"), b"NBUQ====")
        self.assertEqual(base64.b85decode(base64.b85encode(b"hello")), b"hello")
        self.assertEqual(base64.b16encode(b"\xab"), b"AB")
        self.assertEqual(binascii.hexlify(b"ab", "-"), b"61-62")

    def test_z(self):
        d = zlib.compressobj(9)
        c = d.compress(b"a" * 1000) + d.flush()
        self.assertEqual(zlib.decompress(c), b"a" * 1000)
        self.assertLess(len(c), 30)
        self.assertRaises(zlib.error, zlib.decompress, b"x")

    def test_gz(self):
        b = io.BytesIO()
        with gzip.GzipFile(fileobj=b, mode="w", mtime=0) as g:
            g.write(b"hi")
        self.assertEqual(gzip.decompress(b.getvalue()), b"hi")
        self.assertRaises(gzip.BadGzipFile, gzip.decompress, b"notgz")

    def test_codec(self):
        self.assertEqual("é".encode("utf-16-be"), b"\x00\xe9")
        self.assertEqual(b"\xe9".decode("cp1252"), "é")
        self.assertEqual("日本".encode("shift_jis"), b"\x93\xfa\x96{")
        self.assertEqual("a€".encode("ascii", "xmlcharrefreplace"), b"a&#8364;")
        self.assertEqual("bücher".encode("idna"), b"xn--bcher-kva")

    def test_inc(self):
        d = codecs.getincrementaldecoder("utf-8")()
        self.assertEqual(d.decode(b"\xc3") + d.decode(b"\xa9"), "é")

    def test_err(self):
        codecs.register_error("q", lambda e: ("?!", e.end))
        self.assertEqual("aé".encode("ascii", "q"), b"a?!")

    def test_bom(self):
        self.assertEqual(codecs.BOM_UTF8.decode("utf-8-sig"), "")
        self.assertEqual("x".encode("utf-8-sig"), b"\xef\xbb\xbfx")

    def test_mem(self):
        m = memoryview(bytearray(b"abcdef"))
        m[1:3] = b"XY"
        self.assertEqual(bytes(m), b"aXYdef")
        self.assertEqual(m.cast("H").tolist()[0], 22625)

    def test_int(self):
        self.assertEqual((1000).to_bytes(2, "big"), b"\x03\xe8")
        self.assertEqual(int.from_bytes(b"\xff", signed=True), -1)
        self.assertEqual(float.fromhex("0x1.8p1"), 3.0)
        self.assertEqual((0.1).hex(), "0x1.999999999999ap-4")

    def test_array(self):
        a = array.array("I", [1, 2])
        a.byteswap()
        self.assertEqual(a[0], 16777216)
        self.assertEqual(a.itemsize, 4)
        self.assertRaises(OverflowError, array.array, "B", [300])
