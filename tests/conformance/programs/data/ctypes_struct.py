"""Ctypes struct."""

import ctypes, struct, unittest, array, sys


class P(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int32), ("y", ctypes.c_double)]


class T(unittest.TestCase):
    def test(self):
        p = P(1, 2.5)
        self.assertEqual((p.x, p.y, ctypes.sizeof(P)), (1, 2.5, 16))

    def test_struct(self):
        self.assertEqual(struct.unpack("<Ihq", struct.pack("<Ihq", 1, -2, 2**40)), (1, -2, 2**40))
        self.assertRaises(struct.error, struct.pack, "<B", 300)

    def test_size(self):
        self.assertEqual(struct.calcsize("<ihq"), 14)

    def test_array(self):
        a = array.array("d", [1, 2])
        a.append(3)
        self.assertEqual(a.tobytes(), struct.pack("3d", 1, 2, 3))
        self.assertEqual(repr(array.array("i", [1])), "array('i', [1])")

    def test_float(self):
        self.assertEqual(struct.unpack("!f", bytes.fromhex("40490fdb"))[0], 3.1415927410125732)

    def test_cast(self):
        b = ctypes.create_string_buffer(b"abc")
        self.assertEqual(b.value, b"abc")
        self.assertEqual(ctypes.c_uint8(257).value, 1)
