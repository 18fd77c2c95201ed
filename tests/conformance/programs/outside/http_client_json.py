"""Http client json."""

import http.client, json, urllib.request, urllib.parse, urllib.error, unittest, io, socket, ssl, base64
from unittest.mock import patch, Mock, MagicMock


def task(host, path="/", timeout=2):
    c = http.client.HTTPSConnection(host, timeout=timeout, context=ssl._create_unverified_context())
    c.request(
        "POST",
        path,
        body=json.dumps({"a": 1}),
        headers={"Content-Type": "application/json", "Authorization": "Basic " + base64.b64encode(b"u:p").decode()},
    )
    r = c.getresponse()
    return (r.status, json.loads(r.read()))


class T(unittest.TestCase):
    @patch("http.client.HTTPSConnection")
    def test(self, C):
        C.return_value.getresponse.return_value = Mock(status=201, read=lambda: b"[1]")
        self.assertEqual(task("h"), (201, [1]))
        self.assertEqual(C.return_value.request.call_args.args[:2], ("POST", "/"))

    def test_request(self):
        r = urllib.request.Request("http://h/x", data=b"d", headers={"X-a": "b"}, method="PUT")
        self.assertEqual((r.get_method(), r.host, r.get_header("X-a"), r.selector), ("PUT", "h", "b", "/x"))

    def test_opener(self):

        class H(urllib.request.HTTPHandler):
            def http_open(self, req):
                m = io.BytesIO(b"hello")
                r = urllib.request.addinfourl(m, {"x": "y"}, req.full_url, 200)
                r.msg = "OK"
                return r

        self.assertEqual(urllib.request.build_opener(H).open("http://a").read(), b"hello")

    @patch("urllib.request.urlopen", side_effect=socket.timeout("timed out"))
    def test_timeout(self, u):
        self.assertRaises(TimeoutError, urllib.request.urlopen, "http://x", timeout=1)

    def test_err(self):
        e = urllib.error.HTTPError("u", 500, "m", {"h": "1"}, io.BytesIO(b"body"))
        self.assertEqual((e.code, e.read(), e.reason), (500, b"body", "m"))

    def test_parse_response(self):

        class S:
            def makefile(self, *a):
                return io.BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: 1\r\n\r\nhi")

        r = http.client.HTTPResponse(S())
        r.begin()
        self.assertEqual((r.status, r.getheader("X"), r.read()), (200, "1", b"hi"))
