"""Socket mocked."""

import socket, unittest
from unittest.mock import patch, MagicMock


def task(ip, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(1)
    try:
        return s.connect_ex((ip, port)) == 0
    finally:
        s.close()


class T(unittest.TestCase):
    @patch("socket.socket")
    def test(self, sock):
        sock.return_value.connect_ex.return_value = 0
        self.assertTrue(task("1.2.3.4", 80))
        sock.assert_called_with(socket.AF_INET, socket.SOCK_STREAM)

    @patch("socket.gethostbyname", return_value="9.9.9.9")
    def test_name(self, g):
        self.assertEqual(socket.gethostbyname("x"), "9.9.9.9")

    def test_inet(self):
        self.assertEqual(socket.inet_aton("1.2.3.4"), b"\x01\x02\x03\x04")
        self.assertEqual(socket.inet_ntoa(b"\x7f\x00\x00\x01"), "127.0.0.1")
        self.assertEqual(socket.inet_pton(socket.AF_INET6, "::1"), b"\x00" * 15 + b"\x01")
        self.assertEqual(socket.htons(1), 256)
        self.assertEqual(socket.ntohl(1), 16777216)
        with self.assertRaises(OSError):
            socket.inet_aton("nope")

    def test_errors(self):
        self.assertTrue(issubclass(socket.gaierror, OSError))
        self.assertIs(socket.timeout, TimeoutError)
        self.assertTrue(issubclass(socket.herror, OSError))
        self.assertIs(socket.error, OSError)

    def test_gethostname(self):
        self.assertIsInstance(socket.gethostname(), str)
