"""Time series."""

import datetime as dt, calendar, collections, itertools, statistics, unittest, csv, io, bisect, time


def task(rows):
    d = collections.defaultdict(list)
    for day, v in rows:
        d[dt.date.fromisoformat(day).strftime("%Y-W%V")].append(v)
    return {k: round(statistics.fmean(v), 2) for k, v in sorted(d.items())}


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(
            task([("2024-01-01", 1), ("2024-01-03", 2), ("2024-01-08", 5)]), {"2024-W01": 1.5, "2024-W02": 5.0}
        )

    def test_range(self):
        s = dt.date(2024, 2, 27)
        self.assertEqual([(s + dt.timedelta(i)).isoformat() for i in range(4)][-2:], ["2024-02-29", "2024-03-01"])

    def test_delta(self):
        self.assertEqual(str(dt.timedelta(days=1, seconds=3661)), "1 day, 1:01:01")
        self.assertEqual((dt.datetime(2024, 1, 1) - dt.datetime(2023, 1, 1)).total_seconds(), 31536000.0)
        self.assertEqual(dt.timedelta(hours=-1), dt.timedelta(days=-1, hours=23))

    def test_iso(self):
        self.assertEqual(dt.datetime.fromisoformat("2024-01-02T03:04:05.678Z").microsecond, 678000)
        self.assertEqual(dt.date.fromisocalendar(2024, 1, 1), dt.date(2024, 1, 1))

    def test_week(self):
        self.assertEqual(
            [calendar.day_name[d.weekday()] for d in (dt.date(2024, 1, 1), dt.date(2024, 1, 7))], ["Monday", "Sunday"]
        )
        self.assertEqual(len(calendar.Calendar().monthdatescalendar(2024, 2)), 5)

    def test_ctime(self):
        self.assertEqual(dt.datetime(2024, 1, 2, 3, 4, 5).ctime(), "Tue Jan  2 03:04:05 2024")
        self.assertEqual(time.asctime(time.gmtime(0)), "Thu Jan  1 00:00:00 1970")
        self.assertEqual(f"{dt.datetime(2024, 1, 2):%d/%m/%y %p %j}", "02/01/24 AM 002")

    def test_bad(self):
        with self.assertRaisesRegex(ValueError, "day is out of range for month"):
            dt.date(2023, 2, 29)
        with self.assertRaises(TypeError):
            dt.datetime.now() < dt.datetime.now(dt.timezone.utc)

    def test_now(self):
        self.assertLess(
            abs(
                (
                    dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)
                    - dt.datetime.fromtimestamp(time.time(), dt.timezone.utc).replace(tzinfo=None)
                ).total_seconds()
            ),
            5,
        )
        self.assertEqual(dt.datetime.now().astimezone().utcoffset(), dt.timedelta(0))
