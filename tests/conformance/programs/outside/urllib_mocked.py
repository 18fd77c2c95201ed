"""Urllib mocked."""

import unittest, urllib.request, urllib.error, json
from unittest.mock import patch, MagicMock, mock_open


def task(url):
    with urllib.request.urlopen(url) as r:
        return json.loads(r.read().decode("utf-8"))


class T(unittest.TestCase):
    @patch("urllib.request.urlopen")
    def test(self, o):
        r = MagicMock()
        r.read.return_value = b'{"a": 1}'
        r.__enter__.return_value = r
        o.return_value = r
        self.assertEqual(task("http://x"), {"a": 1})

    @patch("urllib.request.urlopen", side_effect=urllib.error.HTTPError("http://x", 404, "Not Found", {}, None))
    def test_404(self, o):
        with self.assertRaises(urllib.error.HTTPError) as c:
            task("http://x")
        self.assertEqual(str(c.exception), "HTTP Error 404: Not Found")

    def test_bad_scheme(self):
        with self.assertRaises(ValueError):
            task("nonsense")
        with self.assertRaises(urllib.error.URLError):
            task("foo://bar")

    def test_no_host(self):
        with self.assertRaises(urllib.error.URLError):
            task("http://no-such-host.invalid/")

    def test_file_url(self):
        with open("/tmp/u.json", "w") as f:
            f.write('{"b": 2}')
        self.assertEqual(task("file:///tmp/u.json"), {"b": 2})

    def test_data_url(self):
        self.assertEqual(task("data:application/json,[1]"), [1])
