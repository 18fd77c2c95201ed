"""Sqlite locked twice."""

import sqlite3, unittest, tempfile, os


class T(unittest.TestCase):
    def test(self):
        p = os.path.join(tempfile.mkdtemp(), "d.db")
        a = sqlite3.connect(p, timeout=0.1)
        b = sqlite3.connect(p, timeout=0.1)
        a.execute("create table t(x)")
        a.commit()
        a.execute("insert into t values(1)")
        with self.assertRaisesRegex(sqlite3.OperationalError, "database is locked"):
            b.execute("insert into t values(2)")
        a.commit()
        b.execute("insert into t values(2)")
        b.commit()
        self.assertEqual(a.execute("select count(*) from t").fetchone(), (2,))

    def test_readonly(self):
        p = os.path.join(tempfile.mkdtemp(), "d.db")
        with self.assertRaises(sqlite3.OperationalError):
            sqlite3.connect(f"file:{p}?mode=ro", uri=True).execute("select 1 from x")
