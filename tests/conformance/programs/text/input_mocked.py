"""Input mocked."""

import unittest, io, sys
from unittest.mock import patch


def task():
    n = int(input("how many? "))
    return [input() for _ in range(n)]


class T(unittest.TestCase):
    @patch("builtins.input", side_effect=["2", "a", "b"])
    def test(self, i):
        self.assertEqual(task(), ["a", "b"])

    @patch("sys.stdin", io.StringIO("1\nz\n"))
    @patch("sys.stdout", new_callable=io.StringIO)
    def test_stdin(self, out):
        self.assertEqual(task(), ["z"])
        self.assertEqual(out.getvalue(), "how many? ")

    def test_eof(self):
        with patch("sys.stdin", io.StringIO("")), self.assertRaises(EOFError):
            task()

    @patch("builtins.print")
    def test_print(self, p):
        print("x", end="")
        p.assert_called_once_with("x", end="")

    @patch("builtins.open", unittest.mock.mock_open(read_data="a\nb\n"))
    def test_open(self):
        self.assertEqual([l.strip() for l in open("f")], ["a", "b"])

    @patch("getpass.getpass", return_value="pw")
    def test_getpass(self, g):
        import getpass

        self.assertEqual(getpass.getpass(), "pw")
