"""Word count files."""

import os, glob, re, collections, tempfile, unittest, shutil, json, pathlib


def task(d, ext=".txt", out="r.json"):
    c = collections.Counter()
    for p in sorted(glob.glob(os.path.join(d, "**", "*" + ext), recursive=True)):
        with open(p, encoding="utf-8", errors="replace") as f:
            c.update(re.findall("\\w+", f.read().lower()))
    with open(os.path.join(d, out), "w") as f:
        json.dump(c.most_common(3), f)
    return c


class T(unittest.TestCase):
    def setUp(self):
        self.d = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.d, ignore_errors=True)

    def test(self):
        os.makedirs(self.d + "/s")
        pathlib.Path(self.d, "a.txt").write_text("a b a")
        pathlib.Path(self.d, "s/b.txt").write_bytes(b"B \xff c")
        self.assertEqual(task(self.d)["b"], 2)
        self.assertEqual(json.load(open(self.d + "/r.json"))[0], ["a", 2])

    def test_none(self):
        self.assertEqual(task(self.d), {})
        self.assertTrue(os.path.isfile(self.d + "/r.json"))

    def test_nodir(self):
        self.assertRaises(FileNotFoundError, task, self.d + "/none")
