"""Sqlite json report."""

import sqlite3, json, csv, io, unittest, statistics, collections, datetime


def task(rows):
    db = sqlite3.connect(":memory:")
    db.execute("create table s(day text, item text, qty int, price real)")
    db.executemany("insert into s values (?,?,?,?)", rows)
    q = db.execute(
        "select item, sum(qty), round(avg(price), 2), json_group_array(day) from s group by item having sum(qty) > 1 order by 2 desc"
    ).fetchall()
    o = io.StringIO()
    w = csv.writer(o, lineterminator="\n")
    w.writerow(["item", "n", "avg", "days"])
    w.writerows(q)
    return (
        o.getvalue(),
        db.execute(
            "select strftime('%Y-%m', day), count(*) over (), row_number() over (order by day) from s"
        ).fetchall(),
    )


class T(unittest.TestCase):
    def test(self):
        r = task([("2024-01-02", "a", 2, 1.5), ("2024-02-03", "a", 1, 2.5), ("2024-02-04", "b", 1, 9)])
        self.assertEqual(r[0], 'item,n,avg,days\na,3,2.0,"[""2024-01-02"",""2024-02-03""]"\n')
        self.assertEqual(r[1][0], ("2024-01", 3, 1))

    def test_adapt(self):
        db = sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_DECLTYPES)
        db.execute("create table d(x date, t timestamp)")
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            db.execute("insert into d values(?,?)", (datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4)))
            self.assertEqual(
                db.execute("select * from d").fetchone(),
                (datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4)),
            )

    def test_fts(self):
        db = sqlite3.connect(":memory:")
        db.execute("create virtual table f using fts5(t)")
        db.execute("insert into f values('hello world')")
        self.assertEqual(db.execute("select t from f where f match 'world'").fetchone(), ("hello world",))

    def test_trigger(self):
        db = sqlite3.connect(":memory:")
        db.executescript(
            "create table a(x); create table l(n); create trigger t after insert on a begin insert into l values(new.x*2); end;"
        )
        db.execute("insert into a values(4)")
        self.assertEqual(db.execute("select n from l").fetchone(), (8,))

    def test_regexp(self):
        import re

        db = sqlite3.connect(":memory:")
        db.create_function("regexp", 2, lambda p, s: re.search(p, s) is not None)
        self.assertEqual(db.execute("select 'abc' regexp 'b.'").fetchone(), (1,))

    def test_version(self):
        self.assertGreaterEqual(sqlite3.sqlite_version_info, (3, 40))
        self.assertEqual(sqlite3.threadsafety in (0, 1, 3), True)
