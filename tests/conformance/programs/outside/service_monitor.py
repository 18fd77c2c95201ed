"""Service monitor."""

import subprocess, time, unittest, os, signal, threading, sys
from unittest.mock import patch, MagicMock, call


def task(name):
    out = subprocess.check_output(["pgrep", "-f", name]).decode().strip().split("\n")
    for pid in filter(None, out):
        os.kill(int(pid), signal.SIGTERM)
    time.sleep(1)
    subprocess.Popen(name)
    return f"Process found. Restarting {name}." if out != [""] else f"Process not found. Starting {name}."


class T(unittest.TestCase):
    @patch("time.sleep")
    @patch("subprocess.Popen")
    @patch("os.kill")
    @patch("subprocess.check_output", return_value=b"12\n13\n")
    def test(self, out, kill, popen, sleep):
        self.assertEqual(task("srv"), "Process found. Restarting srv.")
        kill.assert_has_calls([call(12, signal.SIGTERM), call(13, signal.SIGTERM)])
        popen.assert_called_once_with("srv")

    @patch("time.sleep")
    @patch("subprocess.Popen")
    @patch("subprocess.check_output", return_value=b"")
    def test_none(self, out, popen, sleep):
        self.assertEqual(task("srv"), "Process not found. Starting srv.")
