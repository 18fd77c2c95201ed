"""Csv reports."""

import csv, io, os, tempfile, unittest, collections


def task(path, field):
    with open(path, newline="") as f:
        return dict(collections.Counter((r[field] for r in csv.DictReader(f))).most_common())


class T(unittest.TestCase):
    def setUp(self):
        self.d = tempfile.TemporaryDirectory()
        self.p = os.path.join(self.d.name, "x.csv")
        with open(self.p, "w", newline="") as f:
            w = csv.DictWriter(f, ["a", "b"], quoting=csv.QUOTE_NONNUMERIC)
            w.writeheader()
            w.writerows([{"a": "x", "b": 1}, {"a": "y", "b": 2.5}, {"a": "x", "b": 3}])

    def tearDown(self):
        self.d.cleanup()

    def test(self):
        self.assertEqual(task(self.p, "a"), {"x": 2, "y": 1})

    def test_bytes(self):
        self.assertEqual(open(self.p, "rb").read(), b'"a","b"\r\n"x",1\r\n"y",2.5\r\n"x",3\r\n')

    def test_missing(self):
        with self.assertRaises(FileNotFoundError) as c:
            task(self.p + "z", "a")
        self.assertEqual(c.exception.errno, 2)
        self.assertIn("No such file or directory", str(c.exception))

    def test_sniff(self):
        d = csv.Sniffer().sniff("a;b\n1;2\n3;4\n")
        self.assertEqual(d.delimiter, ";")
        self.assertTrue(csv.Sniffer().has_header("name,age\nbob,3\nal,4\n"))

    def test_field_limit(self):
        with self.assertRaises(csv.Error):
            list(csv.reader(["x" * 200000]))
        old = csv.field_size_limit(10**6)
        list(csv.reader(["x" * 200000]))
        csv.field_size_limit(old)
