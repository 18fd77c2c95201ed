"""Cookies http."""

import http.cookies, http.client, http.cookiejar, http, urllib.parse, unittest, mimetypes, email.utils
from unittest.mock import patch, MagicMock


class T(unittest.TestCase):
    def test_c(self):
        c = http.cookies.SimpleCookie("a=1; b=2")
        self.assertEqual(c["b"].value, "2")
        c["a"]["path"] = "/"
        self.assertEqual(c["a"].OutputString(), "a=1; Path=/")

    def test_status(self):
        self.assertEqual(http.HTTPStatus(404).phrase, "Not Found")

    def test_url(self):
        u = urllib.parse.urlparse("https://u:p@h.com:8080/p;x?q=1#f")
        self.assertEqual((u.hostname, u.port, u.params), ("h.com", 8080, "x"))
        self.assertEqual(urllib.parse.urlencode({"a": [1, 2], "b": "é"}, doseq=True), "a=1&a=2&b=%C3%A9")
        self.assertEqual(urllib.parse.parse_qs("a=1&a=2"), {"a": ["1", "2"]})
        self.assertEqual(urllib.parse.urljoin("http://a/b/c", "../d"), "http://a/d")

    @patch("http.client.HTTPSConnection")
    def test_conn(self, C):
        C.return_value.getresponse.return_value = MagicMock(status=200, read=lambda: b"ok")
        c = http.client.HTTPSConnection("x")
        c.request("GET", "/")
        self.assertEqual(c.getresponse().read(), b"ok")

    def test_real(self):
        with self.assertRaises(OSError):
            http.client.HTTPConnection("127.0.0.1", 9).request("GET", "/")

    def test_mime(self):
        self.assertEqual(mimetypes.guess_type("a.tar.gz"), ("application/x-tar", "gzip"))
        self.assertEqual(mimetypes.guess_extension("image/png"), ".png")

    def test_addr(self):
        self.assertEqual(email.utils.parseaddr("Bo <b@x>"), ("Bo", "b@x"))
        self.assertEqual(email.utils.formatdate(0), "Thu, 01 Jan 1970 00:00:00 -0000")

    def test_jar(self):
        j = http.cookiejar.CookieJar()
        self.assertEqual(len(j), 0)

    def test_quote(self):
        self.assertEqual(urllib.parse.quote("a b/ü"), "a%20b/%C3%BC")
        self.assertEqual(urllib.parse.unquote_plus("a+b%2B"), "a b+")
