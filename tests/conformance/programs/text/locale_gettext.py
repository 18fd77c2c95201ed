"""Locale gettext."""

import locale, gettext, unittest, calendar, time


class T(unittest.TestCase):
    def test_c(self):
        locale.setlocale(locale.LC_ALL, "C")
        self.assertEqual(locale.format_string("%d", 1234567, grouping=True), "1234567")
        self.assertEqual(locale.localeconv()["decimal_point"], ".")

    def test_bad(self):
        self.assertRaises(locale.Error, locale.setlocale, locale.LC_ALL, "xx_YY.nonsense")

    def test_str(self):
        self.assertEqual(locale.str(1.5), "1.5")
        self.assertEqual(locale.atof("1.5"), 1.5)

    def test_gt(self):
        self.assertEqual(gettext.gettext("x"), "x")
        self.assertEqual(gettext.ngettext("a", "b", 2), "b")

    def test_strxfrm(self):
        self.assertEqual(sorted(["b", "A", "a"], key=locale.strxfrm), ["A", "a", "b"])

    def test_names(self):
        self.assertEqual(calendar.month_name[1], "January")
        self.assertEqual(locale.normalize("de"), "de_DE.ISO8859-1")
