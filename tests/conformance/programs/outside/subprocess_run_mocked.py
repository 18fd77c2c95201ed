"""Subprocess run mocked."""

import subprocess, unittest
from unittest.mock import patch, MagicMock


def task(cmd):
    done = subprocess.run(cmd, shell=True, capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()


class T(unittest.TestCase):
    @patch("subprocess.run")
    def test_ok(self, run):
        run.return_value = MagicMock(stdout="a\nb\n", returncode=0)
        self.assertEqual(task("ls"), ["a", "b"])
        run.assert_called_once_with("ls", shell=True, capture_output=True, text=True, check=True)

    @patch("subprocess.run", side_effect=subprocess.CalledProcessError(1, "ls", stderr="bad"))
    def test_bad(self, run):
        with self.assertRaises(subprocess.CalledProcessError) as c:
            task("ls")
        self.assertEqual(str(c.exception), "Command 'ls' returned non-zero exit status 1.")

    def test_timeout_text(self):
        self.assertEqual(str(subprocess.TimeoutExpired(["a"], 3)), "Command '['a']' timed out after 3 seconds")
