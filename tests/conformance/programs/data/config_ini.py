"""Config ini."""

import configparser, io, unittest, os, tempfile


class T(unittest.TestCase):
    def test(self):
        c = configparser.ConfigParser()
        c.read_string("[a]\nx = 1\ny: %(x)s2\n[b]\nflag = yes\n")
        self.assertEqual(c["a"]["y"], "12")
        self.assertTrue(c.getboolean("b", "flag"))
        self.assertEqual(c.get("a", "zz", fallback="q"), "q")
        s = io.StringIO()
        c.write(s)
        self.assertEqual(s.getvalue(), "[a]\nx = 1\ny = %(x)s2\n\n[b]\nflag = yes\n\n")

    def test_err(self):
        with self.assertRaises(configparser.MissingSectionHeaderError) as c:
            configparser.ConfigParser().read_string("x=1")
        self.assertEqual(str(c.exception), "File contains no section headers.\nfile: '<string>', line: 1\n'x=1'")
        with self.assertRaises(configparser.NoSectionError):
            configparser.ConfigParser().get("a", "b")

    def test_env(self):
        c = configparser.ConfigParser(os.environ, interpolation=None)
        self.assertIn("HOME", {k.upper() for k in c.defaults()})
