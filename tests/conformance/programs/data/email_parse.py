"""Email parse."""

import email, email.policy, unittest
from email.message import EmailMessage
from email.header import decode_header, Header


class T(unittest.TestCase):
    def test(self):
        m = EmailMessage()
        m["Subject"] = "Tést"
        m["To"] = "a@b.c"
        m.set_content("hi\n")
        m.add_attachment(b"\x00\x01", maintype="application", subtype="octet-stream", filename="x.bin")
        p = email.message_from_bytes(m.as_bytes(), policy=email.policy.default)
        self.assertEqual(p["subject"], "Tést")
        self.assertEqual([a.get_filename() for a in p.iter_attachments()], ["x.bin"])
        self.assertEqual(p.get_body().get_content(), "hi\n")

    def test_header(self):
        self.assertEqual(decode_header("=?utf-8?b?w6k=?="), [(b"\xc3\xa9", "utf-8")])
        self.assertEqual(Header("é", "utf-8").encode(), "=?utf-8?b?w6k=?=")
