"""Subprocess check output."""

import subprocess, unittest, os
from unittest.mock import patch


def task(p):
    if not os.path.exists(p):
        raise FileNotFoundError(p)
    return subprocess.check_output(["wc", "-l", p]).split()[0]


class T(unittest.TestCase):
    def test_missing(self):
        with self.assertRaises(FileNotFoundError):
            task("/nope")

    @patch("os.path.exists", return_value=True)
    @patch("subprocess.check_output", return_value=b"12 /nope")
    def test_ok(self, out, ex):
        self.assertEqual(task("/nope"), b"12")
