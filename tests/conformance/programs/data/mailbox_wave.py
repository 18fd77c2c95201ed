"""Mailbox wave."""

import mailbox, wave, io, os, tempfile, unittest, struct, math, email.message


class T(unittest.TestCase):
    def test_mbox(self):
        p = os.path.join(tempfile.mkdtemp(), "m")
        b = mailbox.mbox(p)
        m = email.message.EmailMessage()
        m["Subject"] = "x"
        m.set_content("hi")
        b.add(m)
        b.flush()
        b.close()
        self.assertEqual([x["subject"] for x in mailbox.mbox(p)], ["x"])

    def test_maildir(self):
        d = mailbox.Maildir(os.path.join(tempfile.mkdtemp(), "md"))
        k = d.add("Subject: a\n\nb")
        self.assertEqual(d[k]["subject"], "a")

    def test_wave(self):
        b = io.BytesIO()
        with wave.open(b, "wb") as w:
            w.setnchannels(1)
            w.setsampwidth(2)
            w.setframerate(8000)
            w.writeframes(b"".join((struct.pack("<h", int(1000 * math.sin(i / 10))) for i in range(800))))
        b.seek(0)
        with wave.open(b) as w:
            self.assertEqual((w.getnframes(), w.getframerate(), w.getparams().sampwidth), (800, 8000, 2))
