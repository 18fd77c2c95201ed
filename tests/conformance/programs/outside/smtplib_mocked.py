"""Smtplib mocked."""

import smtplib, unittest
from email.mime.text import MIMEText
from email.mime.multipart import MIMEMultipart
from email.message import EmailMessage
from unittest.mock import patch


def task(d, host="smtp.x", port=587):
    m = MIMEText("Hello " + d["name"])
    m["Subject"] = "Hi"
    m["From"] = "a@b"
    m["To"] = d["email"]
    s = smtplib.SMTP(host, port)
    s.starttls()
    s.login("u", "p")
    s.sendmail("a@b", [d["email"]], m.as_string())
    s.quit()
    return m


class T(unittest.TestCase):
    @patch("smtplib.SMTP")
    def test(self, smtp):
        m = task({"name": "Bo", "email": "bo@x"})
        self.assertEqual(m.get_payload(), "Hello Bo")
        smtp.assert_called_with("smtp.x", 587)
        self.assertTrue(smtp.return_value.quit.called)

    @patch("smtplib.SMTP_SSL")
    def test_ssl(self, smtp):
        with smtplib.SMTP_SSL("x", 465) as s:
            s.send_message(EmailMessage())
        smtp.return_value.__enter__.return_value.send_message.assert_called_once()

    def test_multipart(self):
        m = MIMEMultipart("alternative")
        m.attach(MIMEText("a", "plain"))
        m.attach(MIMEText("<b>a</b>", "html"))
        self.assertEqual([p.get_content_type() for p in m.walk()], ["multipart/alternative", "text/plain", "text/html"])
