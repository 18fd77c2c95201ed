"""String formatter."""

import string, textwrap, unittest, re, html, json


class Safe(string.Formatter):
    def get_value(self, k, a, kw):
        return kw.get(k, "{" + str(k) + "}") if isinstance(k, str) else super().get_value(k, a, kw)


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(Safe().format("{a} {b:>4} {0}", 1, a="x", b="y"), "x    y 1")
        self.assertEqual(Safe().format("{zz}"), "{zz}")

    def test_err(self):
        self.assertRaises(KeyError, "{a}".format)
        self.assertRaises(IndexError, "{}".format)
        self.assertRaises(ValueError, "{:q}".format, 1)

    def test_dedent(self):
        self.assertEqual(textwrap.dedent("  a\n    b\n"), "a\n  b\n")
        self.assertEqual(textwrap.fill("aaa bbb ccc", 7), "aaa bbb\nccc")
        self.assertEqual(textwrap.indent("a\n\nb", "> "), "> a\n\n> b")

    def test_palin(self):
        self.assertEqual([w for w in "level noon cat".split() if w == w[::-1]], ["level", "noon"])

    def test_caps(self):
        self.assertEqual(string.capwords("hello   world"), "Hello World")
        self.assertEqual("they're bill's".title(), "They'Re Bill'S")
