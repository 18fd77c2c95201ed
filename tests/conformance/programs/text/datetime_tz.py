"""Datetime tz."""

import datetime, time, unittest, zoneinfo, calendar
from unittest.mock import patch


def task(s, tz):
    return datetime.datetime.fromisoformat(s).astimezone(zoneinfo.ZoneInfo(tz)).strftime("%Y-%m-%d %H:%M %Z%z")


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(task("2024-07-01T12:00:00+00:00", "America/New_York"), "2024-07-01 08:00 EDT-0400")

    def test_bad(self):
        with self.assertRaises(zoneinfo.ZoneInfoNotFoundError):
            task("2024-07-01T12:00:00+00:00", "No/Where")

    def test_patch(self):
        with patch("datetime.datetime") as d:
            d.now.return_value = 5
            self.assertEqual(datetime.datetime.now(), 5)

    def test_time_patch(self):
        with patch("time.time", return_value=12.0), patch("time.sleep") as s:
            time.sleep(100)
            self.assertEqual(time.time(), 12.0)

    def test_strptime(self):
        self.assertEqual(
            datetime.datetime.strptime("Mon, 05 Feb 2024 10:11:12 +0200", "%a, %d %b %Y %H:%M:%S %z").isoformat(),
            "2024-02-05T10:11:12+02:00",
        )
        with self.assertRaisesRegex(ValueError, "time data 'x' does not match format '%Y'"):
            datetime.datetime.strptime("x", "%Y")
        with self.assertRaisesRegex(ValueError, "unconverted data remains"):
            datetime.datetime.strptime("2024x", "%Y")

    def test_cal(self):
        self.assertEqual(calendar.monthrange(2024, 2), (3, 29))
        self.assertEqual(calendar.TextCalendar().formatmonth(2024, 2).splitlines()[0].strip(), "February 2024")

    def test_ts(self):
        self.assertEqual(
            datetime.datetime.fromtimestamp(0, datetime.timezone.utc).isoformat(), "1970-01-01T00:00:00+00:00"
        )
        self.assertEqual(time.strftime("%A %d %B %Y", time.gmtime(0)), "Thursday 01 January 1970")

    def test_far(self):
        self.assertEqual(datetime.datetime.fromtimestamp(2**33, datetime.timezone.utc).year, 2242)
        self.assertEqual(time.gmtime(2**40).tm_year, 36812)

    def test_before(self):
        self.assertEqual(datetime.datetime.fromtimestamp(-1000000000.0, datetime.timezone.utc).year, 1938)

    def test_mktime(self):
        self.assertEqual(
            time.mktime(time.strptime("1999-01-01", "%Y-%m-%d")) - time.mktime(time.strptime("1998-12-31", "%Y-%m-%d")),
            86400,
        )
