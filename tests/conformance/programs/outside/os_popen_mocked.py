"""Os popen mocked."""

import os, unittest, io
from unittest.mock import patch


def task():
    return os.popen("uptime").read()


class T(unittest.TestCase):
    @patch("os.popen")
    def test(self, p):
        p.return_value = io.StringIO("up")
        self.assertEqual(task(), "up")

    @patch("os.system", return_value=3)
    def test_system(self, s):
        self.assertEqual(os.system("x"), 3)
