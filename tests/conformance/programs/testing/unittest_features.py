"""Unittest features."""

import unittest, io, sys, warnings


def inner():
    class Inner(unittest.TestCase):
        def test_a(self):
            pass

        def test_b(self):
            self.fail("no")

        @unittest.skip("later")
        def test_c(self):
            pass

        @unittest.expectedFailure
        def test_d(self):
            self.assertEqual(1, 2)

        def test_e(self):
            for i in range(3):
                with self.subTest(i=i):
                    self.assertNotEqual(i, 1)

    return Inner


class T(unittest.TestCase):
    def test_run(self):
        s = io.StringIO()
        r = unittest.TextTestRunner(s, verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(inner()))
        self.assertEqual((r.testsRun, len(r.failures), len(r.skipped), len(r.expectedFailures)), (5, 2, 1, 1))
        self.assertIn("AssertionError: no", s.getvalue())
        self.assertIn('self.fail("no")', s.getvalue())

    def test_warn(self):
        with self.assertWarnsRegex(DeprecationWarning, "old"):
            warnings.warn("old way", DeprecationWarning)
        with warnings.catch_warnings(record=True) as w:
            warnings.simplefilter("always")
            warnings.warn("q")
            self.assertEqual(len(w), 1)

    def test_msgs(self):
        with self.assertRaises(AssertionError) as c:
            self.assertEqual([1, 2], [1, 3])
        self.assertIn("First differing element 1:\n2\n3", str(c.exception))

    def test_main(self):
        with self.assertRaises(SystemExit):
            unittest.main(
                argv=["x"],
                module=None,
                defaultTest=None,
                testLoader=unittest.TestLoader(),
                exit=True,
                testRunner=unittest.TextTestRunner(io.StringIO()),
            )
