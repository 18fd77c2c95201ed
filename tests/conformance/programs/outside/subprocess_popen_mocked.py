"""Subprocess popen mocked."""

import subprocess, unittest, time
from unittest.mock import patch, Mock


def task(commands):
    procs = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for c in commands]
    return [p.communicate(timeout=5)[0].decode() for p in procs]


class T(unittest.TestCase):
    def test_ok(self):
        with patch("subprocess.Popen") as popen:
            popen.return_value.communicate.side_effect = [(b"1", None), (b"2", None)]
            self.assertEqual(task([["x"], ["y"]]), ["1", "2"])
            self.assertEqual(popen.call_count, 2)

    def test_missing(self):
        with self.assertRaises(OSError):
            task([["/no/such/program"]])
