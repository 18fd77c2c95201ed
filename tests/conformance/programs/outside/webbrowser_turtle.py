"""Webbrowser turtle."""

import unittest, webbrowser
from unittest.mock import patch


class T(unittest.TestCase):
    @patch("webbrowser.open", return_value=True)
    def test(self, o):
        self.assertTrue(webbrowser.open("http://x"))
        o.assert_called_with("http://x")
