"""Shelve dbm."""

import shelve, dbm, os, tempfile, unittest, pickle, plistlib, tomllib


class T(unittest.TestCase):
    def setUp(self):
        self.p = os.path.join(tempfile.mkdtemp(), "s")

    def test(self):
        with shelve.open(self.p, writeback=True) as s:
            s["a"] = [1]
            s["a"].append(2)
        with shelve.open(self.p) as s:
            self.assertEqual(s["a"], [1, 2])
            self.assertEqual(list(s), ["a"])

    def test_dbm(self):
        with dbm.open(self.p, "c") as d:
            d["k"] = "v"
            self.assertEqual(d[b"k"], b"v")

    def test_plist(self):
        self.assertEqual(plistlib.loads(plistlib.dumps({"a": [1, b"x"]})), {"a": [1, b"x"]})

    def test_toml(self):
        self.assertEqual(tomllib.loads("a = 1\n[b]\nc = 2024-01-01")["b"]["c"].isoformat(), "2024-01-01")
        self.assertRaises(tomllib.TOMLDecodeError, tomllib.loads, "a =")

    def test_pickle_bad(self):
        self.assertRaises(pickle.UnpicklingError, pickle.loads, b"junk")
        self.assertRaises((pickle.PicklingError, AttributeError), pickle.dumps, lambda: 1)
