"""Robot netrc."""

import urllib.robotparser, netrc, http.cookies, urllib.parse, unittest, tempfile, os, mimetypes, webbrowser


class T(unittest.TestCase):
    def test_robot(self):
        r = urllib.robotparser.RobotFileParser()
        r.parse(["User-agent: *", "Disallow: /x"])
        self.assertFalse(r.can_fetch("b", "http://a/x/y"))
        self.assertTrue(r.can_fetch("b", "http://a/z"))

    def test_netrc(self):
        p = os.path.join(tempfile.mkdtemp(), "n")
        open(p, "w").write("machine h login u password p\n")
        self.assertEqual(
            netrc.netrc(p).authenticators("h"),
            ("u", "", "p") if netrc.netrc(p).authenticators("h")[1] == "" else ("u", None, "p"),
        )
