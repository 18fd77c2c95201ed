"""Ftplib mocked."""

import ftplib, os, unittest, tempfile
from unittest.mock import patch, MagicMock


def task(server, user, pw, d):
    try:
        ftp = ftplib.FTP(server)
    except Exception as e:
        raise Exception(f"Failed to connect to FTP server {server}: {e}")
    try:
        ftp.login(user, pw)
    except Exception as e:
        raise Exception(f"Failed to log into FTP server: {e}")
    ftp.cwd(d)
    out = []
    for n in ftp.nlst():
        with open(os.path.join(tempfile.gettempdir(), n), "wb") as f:
            ftp.retrbinary("RETR " + n, f.write)
        out.append(n)
    ftp.quit()
    return out


class T(unittest.TestCase):
    @patch("ftplib.FTP")
    def test(self, FTP):
        FTP.return_value.nlst.return_value = ["a.txt"]
        FTP.return_value.retrbinary.side_effect = lambda c, w: w(b"data")
        self.assertEqual(task("s", "u", "p", "/d"), ["a.txt"])
        self.assertEqual(open(os.path.join(tempfile.gettempdir(), "a.txt"), "rb").read(), b"data")

    @patch("ftplib.FTP", side_effect=ftplib.error_perm("530"))
    def test_fail(self, FTP):
        with self.assertRaisesRegex(Exception, "Failed to connect to FTP server s: 530"):
            task("s", "u", "p", "/d")
