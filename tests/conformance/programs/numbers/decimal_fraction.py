"""Decimal fraction."""

import decimal, fractions, unittest, math, numbers
from decimal import Decimal as D


class T(unittest.TestCase):
    def test_ctx(self):
        with decimal.localcontext(prec=50):
            self.assertEqual(str(D(2).sqrt()), "1.4142135623730950488016887242096980785696718753769")
        with self.assertRaises(decimal.DivisionByZero):
            D(1) / 0
        with self.assertRaises(decimal.InvalidOperation):
            D("x")

    def test_frac(self):
        self.assertEqual(fractions.Fraction("3.14").limit_denominator(100), fractions.Fraction(157, 50))
        self.assertEqual(f"{fractions.Fraction(1, 3):.3f}", "0.333")

    def test_int(self):
        self.assertEqual(math.isqrt(10**40), 10**20)
        self.assertEqual(math.comb(50, 25), 126410606437752)
        self.assertEqual(math.lcm(4, 6), 12)
        self.assertEqual((2**1000).bit_length(), 1001)
        self.assertEqual(pow(3, -1, 7), 5)

    def test_digits(self):
        with self.assertRaisesRegex(ValueError, "Exceeds the limit"):
            str(10**5000)

    def test_round(self):
        self.assertEqual([round(x) for x in (0.5, 1.5, 2.5)], [0, 2, 2])
        self.assertEqual(round(2.675, 2), 2.67)
        self.assertEqual(f"{1234567.891:,.2f}", "1,234,567.89")

    def test_prec(self):
        c = decimal.Context(prec=100000)
        self.assertEqual(len(str(c.divide(D(1), D(3)))), 100002)

    def test_max(self):
        self.assertEqual(decimal.MAX_PREC > 10**8, True)
