"""Sqlite basic."""

import sqlite3, unittest, os, tempfile, csv


def task(db, rows):
    con = sqlite3.connect(db)
    con.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, v REAL)")
    con.executemany("INSERT INTO t (name, v) VALUES (?, ?)", rows)
    con.commit()
    out = con.execute("SELECT name, v FROM t ORDER BY v DESC").fetchall()
    con.close()
    return out


class T(unittest.TestCase):
    def setUp(self):
        self.d = tempfile.mkdtemp()
        self.db = os.path.join(self.d, "x.db")

    def tearDown(self):
        import shutil

        shutil.rmtree(self.d)

    def test(self):
        self.assertEqual(task(self.db, [("a", 1), ("b", 2)]), [("b", 2.0), ("a", 1.0)])

    def test_unique(self):
        with self.assertRaisesRegex(sqlite3.IntegrityError, "UNIQUE constraint failed: t.name"):
            task(self.db, [("a", 1), ("a", 2)])

    def test_row(self):
        con = sqlite3.connect(":memory:")
        con.row_factory = sqlite3.Row
        r = con.execute("select 1 as x, 'a' as y").fetchone()
        self.assertEqual((r["x"], r.keys(), tuple(r)), (1, ["x", "y"], (1, "a")))

    def test_func(self):
        con = sqlite3.connect(":memory:")
        con.create_function("rev", 1, lambda s: s[::-1])
        self.assertEqual(con.execute("select rev('abc')").fetchone(), ("cba",))

        class S:
            def __init__(self):
                self.t = 0

            def step(self, v):
                self.t += v

            def finalize(self):
                return self.t

        con.create_aggregate("mysum", 1, S)
        self.assertEqual(con.execute("select mysum(x) from (select 1 x union select 2)").fetchone(), (3,))

    def test_dump(self):
        con = sqlite3.connect(":memory:")
        con.executescript("create table a(x); insert into a values(1);")
        self.assertIn('INSERT INTO "a" VALUES(1);', list(con.iterdump()))

    def test_backup(self):
        a = sqlite3.connect(":memory:")
        a.execute("create table a(x)")
        b = sqlite3.connect(":memory:")
        a.backup(b)
        self.assertEqual(b.execute("select name from sqlite_master").fetchall(), [("a",)])

    def test_noop(self):
        with self.assertRaises(sqlite3.OperationalError):
            sqlite3.connect(":memory:").execute("select * from nope")

    def test_closed(self):
        c = sqlite3.connect(":memory:")
        c.close()
        with self.assertRaises(sqlite3.ProgrammingError):
            c.execute("select 1")

    def test_thread(self):
        import threading

        c = sqlite3.connect(":memory:", check_same_thread=False)
        out = []
        t = threading.Thread(target=lambda: out.append(c.execute("select 1").fetchone()))
        t.start()
        t.join()
        self.assertEqual(out, [(1,)])
