"""Socketserver handler."""

import socketserver, http.server, unittest, io
from unittest.mock import MagicMock, patch


class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(b"ok " + self.path.encode())

    def log_message(self, *a):
        pass


class Sock:
    def __init__(self, data):
        self.r = io.BytesIO(data)
        self.out = b""

    def makefile(self, mode, *a):
        return self.r

    def sendall(self, d):
        self.out += d


class T(unittest.TestCase):
    def test(self):
        s = Sock(b"GET /x HTTP/1.0\r\nHost: y\r\n\r\n")
        H(s, ("1.1.1.1", 5), MagicMock())
        self.assertTrue(s.out.startswith(b"HTTP/1.0 200 OK\r\n"))
        self.assertTrue(s.out.endswith(b"\r\n\r\nok /x"))

    def test_server_patched(self):
        with patch("socketserver.TCPServer") as srv:
            with socketserver.TCPServer(("", 8000), H) as h:
                h.serve_forever()
            srv.return_value.__enter__.return_value.serve_forever.assert_called_once()

    def test_httpserver_patched(self):
        with patch("http.server.HTTPServer") as srv:
            http.server.HTTPServer(("", 1), H).serve_forever()
            srv.assert_called()
