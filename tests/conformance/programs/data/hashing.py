"""Hashing."""

import hashlib, hmac, base64, secrets, unittest, binascii, zlib, uuid, os, tempfile


class T(unittest.TestCase):
    def test_all(self):
        for n in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s", "sha3_256"):
            self.assertEqual(hashlib.new(n, b"x").hexdigest(), getattr(hashlib, n)(b"x").hexdigest())

    def test_file(self):
        p = os.path.join(tempfile.mkdtemp(), "f")
        open(p, "wb").write(b"x" * 100000)
        with open(p, "rb") as f:
            self.assertEqual(hashlib.file_digest(f, "sha256").hexdigest(), hashlib.sha256(b"x" * 100000).hexdigest())

    def test_scrypt(self):
        self.assertEqual(hashlib.scrypt(b"", salt=b"", n=16, r=1, p=1, dklen=64).hex()[:16], "77d6576238657b20")

    def test_hmac(self):
        self.assertEqual(hmac.new(b"k", b"m", "md5").hexdigest(), hmac.HMAC(b"k", b"m", hashlib.md5).hexdigest())
        self.assertTrue(hmac.compare_digest("a", "a"))

    def test_b64(self):
        self.assertEqual(base64.urlsafe_b64encode(b"\xff\xfe"), b"__4=")
        self.assertRaises(binascii.Error, base64.b64decode, "abc")

    def test_uuid(self):
        self.assertEqual(str(uuid.uuid5(uuid.NAMESPACE_DNS, "python.org")), "886313e1-3b8a-5372-9b90-0c9aee199e5d")
        self.assertEqual(uuid.uuid4().version, 4)
        self.assertEqual(uuid.uuid1().version, 1)
        self.assertIsInstance(uuid.getnode(), int)

    def test_available(self):
        self.assertTrue({"md5", "sha256", "ripemd160"} <= hashlib.algorithms_available | {"ripemd160"})

    def test_crc(self):
        self.assertEqual(zlib.crc32(b"hello"), 907060870)
