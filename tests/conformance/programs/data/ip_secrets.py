"""Ip secrets."""

import ipaddress, secrets, string, unittest, random, colorsys, codecs, quopri, stringprep, unicodedata


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(len(list(ipaddress.ip_network("10.0.0.0/30").hosts())), 2)
        self.assertRaises(ValueError, ipaddress.ip_address, "300.1.1.1")
        self.assertTrue(ipaddress.ip_address("::1").is_loopback)
        self.assertEqual(ipaddress.ip_network("2001:db8::/32").num_addresses, 2**96)

    def test_sec(self):
        self.assertEqual(len(secrets.token_hex(16)), 32)
        self.assertIn(secrets.choice("abc"), "abc")
        self.assertEqual(len("".join(random.choices(string.ascii_letters, k=8))), 8)

    def test_rot(self):
        self.assertEqual(codecs.encode("Hello", "rot13"), "Uryyb")
        self.assertEqual(codecs.decode("48656c6c6f", "hex"), b"Hello")

    def test_color(self):
        self.assertEqual(colorsys.rgb_to_hsv(1, 0, 0), (0.0, 1.0, 1.0))

    def test_names(self):
        self.assertEqual(unicodedata.name("é"), "LATIN SMALL LETTER E WITH ACUTE")
        self.assertEqual("α", "α")
        self.assertEqual(unicodedata.category("1"), "Nd")
