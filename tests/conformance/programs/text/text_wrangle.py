"""Text wrangle."""

import re, collections, string, unittest, itertools, textwrap, csv, io, json, html, unicodedata, datetime

LOG = '127.0.0.1 - - [10/Oct/2023:13:55:36 +0000] "GET /a HTTP/1.1" 200 12\n10.0.0.2 - bob [10/Oct/2023:13:56:00 +0000] "POST /b?x=1 HTTP/1.1" 500 -\n'
RX = re.compile(
    '(?P<ip>\\S+) \\S+ (?P<user>\\S+) \\[(?P<t>[^\\]]+)\\] "(?P<m>\\w+) (?P<p>\\S+) [^"]*" (?P<s>\\d{3}) (?P<n>\\S+)'
)


class T(unittest.TestCase):
    def test_log(self):
        rows = [m.groupdict() for m in RX.finditer(LOG)]
        self.assertEqual([r["s"] for r in rows], ["200", "500"])
        self.assertEqual(datetime.datetime.strptime(rows[0]["t"], "%d/%b/%Y:%H:%M:%S %z").timestamp(), 1696946136.0)

    def test_caesar(self):
        self.assertEqual(
            "Hello, World".translate(
                str.maketrans(
                    string.ascii_letters, string.ascii_lowercase[3:] + "abc" + string.ascii_uppercase[3:] + "ABC"
                )
            ),
            "Khoor, Zruog",
        )

    def test_anag(self):
        d = collections.defaultdict(list)
        [d["".join(sorted(w))].append(w) for w in "eat tea tan ate nat bat".split()]
        self.assertEqual(sorted(map(sorted, d.values())), [["ate", "eat", "tea"], ["bat"], ["nat", "tan"]])

    def test_slug(self):
        self.assertEqual(
            re.sub(
                "[^a-z0-9]+",
                "-",
                unicodedata.normalize("NFKD", "Ünïque Títle! 5").encode("ascii", "ignore").decode().lower(),
            ).strip("-"),
            "unique-title-5",
        )

    def test_table(self):
        self.assertEqual(
            "\n".join((f"{n:<6}|{v:>8.2f}" for n, v in [("a", 1), ("bb", 22.456)])), "a     |    1.00\nbb    |   22.46"
        )

    def test_rle(self):
        self.assertEqual("".join((f"{k}{len(list(g))}" for k, g in itertools.groupby("aaabcc"))), "a3b1c2")

    def test_case(self):
        self.assertEqual(
            ("straße".upper(), "ǅ".title(), "İ".lower(), "ΑΣ".lower(), "ﬁ".casefold()),
            ("STRASSE", "ǅ", "i̇", "ας", "fi"),
        )

    def test_split(self):
        self.assertEqual("a\x0bb\x1cc\u2028d".splitlines(), ["a", "b", "c", "d"])
        self.assertEqual("a,b,,c".rsplit(",", 2), ["a,b", "", "c"])
        self.assertEqual("x=1=2".partition("="), ("x", "=", "1=2"))

    def test_num(self):
        self.assertTrue("½".isnumeric() and (not "½".isdigit()) and "²".isdigit() and (not "²".isdecimal()))
        self.assertEqual(int("٣"), 3)
