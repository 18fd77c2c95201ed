"""Regex text."""

import re, string, unittest, collections, unicodedata, textwrap, difflib


class T(unittest.TestCase):
    def test_words(self):
        self.assertEqual(
            collections.Counter(re.findall("\\b\\w+\\b", "The cat the hat".lower())).most_common(1), [("the", 2)]
        )

    def test_sub(self):
        self.assertEqual(re.sub("(?P<a>\\d+)-(?P<b>\\d+)", "\\g<b>-\\g<a>", "1-2 33-44"), "2-1 44-33")

    def test_verbose(self):
        self.assertEqual(re.compile("\\d+ # digits\n        \\s* [a-z]", re.X).findall("12 a 3b"), ["12 a", "3b"])

    def test_err(self):
        with self.assertRaisesRegex(re.error, "unterminated character set at position 0"):
            re.compile("[")

    def test_split(self):
        self.assertEqual(re.split("([,;])\\s*", "a, b;c"), ["a", ",", "b", ";", "c"])

    def test_lookbehind(self):
        self.assertEqual(re.findall("(?<=\\$)\\d+", "$5 $66 7"), ["5", "66"])

    def test_translate(self):
        self.assertEqual("a.b,c".translate(str.maketrans("", "", string.punctuation)), "abc")

    def test_nfkd(self):
        self.assertEqual(unicodedata.normalize("NFKD", "éß").encode("ascii", "ignore"), b"e")

    def test_wrap(self):
        self.assertEqual(textwrap.shorten("Hello  world of text", 12, placeholder="..."), "Hello...")

    def test_diff(self):
        self.assertEqual(difflib.get_close_matches("appel", ["ape", "apple", "peach"]), ["apple", "ape"])
        self.assertEqual(
            list(difflib.unified_diff(["a"], ["b"], lineterm="")), ["--- ", "+++ ", "@@ -1 +1 @@", "-a", "+b"]
        )

    def test_template(self):
        self.assertEqual(string.Template("$a ${b} $$").safe_substitute(a=1), "1 ${b} $")
