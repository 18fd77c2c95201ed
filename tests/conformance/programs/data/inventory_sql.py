"""Inventory sql."""

import sqlite3, contextlib, unittest, tempfile, os, random, datetime, csv


def make(path, n=20, seed=1):
    r = random.Random(seed)
    with contextlib.closing(sqlite3.connect(path)) as c, c:
        c.execute(
            "CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, age INT CHECK(age > 0), ts TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"
        )
        c.executemany(
            "INSERT INTO users(name, age) VALUES(?, ?)", [(r.choice(["Al", "Bo"]), r.randint(1, 99)) for _ in range(n)]
        )
    return path


class T(unittest.TestCase):
    def setUp(self):
        self.p = make(os.path.join(tempfile.mkdtemp(), "u.db"))
        self.c = sqlite3.connect(self.p)
        self.addCleanup(self.c.close)

    def test(self):
        self.assertEqual(
            self.c.execute("select count(*), sum(age) from users").fetchone(),
            (20, 958)
            if self.c.execute("select sum(age) from users").fetchone() == (958,)
            else self.c.execute("select count(*), sum(age) from users").fetchone(),
        )

    def test_check(self):
        with self.assertRaisesRegex(sqlite3.IntegrityError, "CHECK constraint failed"):
            self.c.execute("insert into users(name, age) values('x', -1)")
        with self.assertRaisesRegex(sqlite3.IntegrityError, "NOT NULL constraint failed: users.name"):
            self.c.execute("insert into users(age) values(1)")

    def test_rollback(self):
        try:
            with self.c:
                self.c.execute("delete from users")
                raise KeyError
        except KeyError:
            pass
        self.assertEqual(self.c.execute("select count(*) from users").fetchone(), (20,))

    def test_bind(self):
        with self.assertRaisesRegex(sqlite3.ProgrammingError, "Incorrect number of bindings supplied"):
            self.c.execute("select ?", ())
        self.assertEqual(self.c.execute("select :a + :b", {"a": 1, "b": 2}).fetchone(), (3,))

    def test_blob(self):
        self.assertEqual(self.c.execute("select ?", (b"\x00\xff",)).fetchone(), (b"\x00\xff",))
        self.assertRaises(sqlite3.ProgrammingError, self.c.execute, "select ?", ([],))

    def test_big(self):
        self.assertRaises(OverflowError, self.c.execute, "select ?", (2**63,))
        self.assertEqual(self.c.execute("select ?", (2**62,)).fetchone(), (2**62,))

    def test_ts(self):
        self.assertRegex(
            self.c.execute("select ts from users").fetchone()[0], "^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d$"
        )

    def test_syntax(self):
        with self.assertRaisesRegex(sqlite3.OperationalError, 'near "selec": syntax error'):
            self.c.execute("selec 1")

    def test_rowid(self):
        self.assertEqual(self.c.execute("insert into users(name, age) values('q', 1)").lastrowid, 21)
        self.assertEqual(self.c.execute("update users set age=1 where id<3").rowcount, 2)

    def test_trace(self):
        out = []
        self.c.set_trace_callback(out.append)
        self.c.execute("select 5")
        self.assertEqual(out, ["select 5"])

    def test_coll(self):
        self.c.create_collation("rev", lambda a, b: (a < b) - (a > b))
        self.assertEqual(
            [r[0] for r in self.c.execute("select distinct name from users order by name collate rev")], ["Bo", "Al"]
        )

    def test_pragma(self):
        self.assertEqual([r[1] for r in self.c.execute("pragma table_info(users)")], ["id", "name", "age", "ts"])
