"""Sockets more."""

import socket, select, selectors, socketserver, ssl, unittest, threading, urllib.request
from unittest.mock import patch, MagicMock, Mock


def serve(addr, port, mx, run_time=0):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((addr, port))
    s.listen(mx)
    r, _, _ = select.select([s], [], [], 0)
    for x in r:
        c, a = s.accept()
        c.sendall(b"hi")
        c.close()
    s.close()
    return f"Server started on {addr}:{port}."


class T(unittest.TestCase):
    @patch("select.select")
    @patch("socket.socket")
    def test(self, sk, sel):
        m = MagicMock()
        sk.return_value = m
        sel.return_value = ([m], [], [])
        c = MagicMock()
        m.accept.return_value = (c, ("1", 2))
        self.assertEqual(serve("localhost", 8080, 5), "Server started on localhost:8080.")
        m.bind.assert_called_with(("localhost", 8080))
        c.sendall.assert_called_with(b"hi")

    @patch("socket.create_connection", side_effect=socket.timeout("timed out"))
    def test_to(self, c):
        with self.assertRaises(socket.timeout):
            socket.create_connection(("x", 1), timeout=1)

    @patch("socket.getaddrinfo", return_value=[(2, 1, 6, "", ("1.2.3.4", 80))])
    def test_gai(self, g):
        self.assertEqual(socket.getaddrinfo("x", 80)[0][4][0], "1.2.3.4")

    @patch("socket.gethostbyaddr", return_value=("host", [], ["1.1.1.1"]))
    def test_rev(self, g):
        self.assertEqual(socket.gethostbyaddr("1.1.1.1")[0], "host")

    @patch("ssl.SSLContext.wrap_socket")
    def test_wrap(self, w):
        pass

    def test_spec(self):
        m = Mock(spec=socket.socket)
        m.recv.return_value = b"x"
        self.assertEqual(m.recv(4), b"x")
        self.assertRaises(AttributeError, lambda: m.nope)

    @patch("urllib.request.urlretrieve", return_value=("f", None))
    def test_retr(self, u):
        self.assertEqual(urllib.request.urlretrieve("http://x", "f")[0], "f")

    def test_consts(self):
        self.assertEqual((socket.AF_INET, socket.SOCK_STREAM, socket.SOCK_DGRAM), (2, 1, 2))
        self.assertTrue(
            hasattr(socket, "SHUT_RDWR")
            and hasattr(socket, "IPPROTO_TCP")
            and hasattr(socket, "AF_UNIX")
            and hasattr(socket, "SO_KEEPALIVE")
        )

    def test_fqdn(self):
        self.assertIsInstance(socket.getfqdn(), str)
