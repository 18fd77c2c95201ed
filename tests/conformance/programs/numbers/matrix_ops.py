"""Matrix ops."""

import unittest, operator, itertools, math, statistics, random, fractions


def mul(a, b):
    return [[sum(map(operator.mul, r, c)) for c in zip(*b)] for r in a]


def det(m):
    if len(m) == 1:
        return m[0][0]
    return sum(((-1) ** j * m[0][j] * det([r[:j] + r[j + 1 :] for r in m[1:]]) for j in range(len(m))))


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(mul([[1, 2], [3, 4]], [[0, 1], [1, 0]]), [[2, 1], [4, 3]])
        self.assertEqual(det([[2, 0, 1], [1, 3, 2], [1, 1, 4]]), 18)

    def test_stats(self):
        self.assertAlmostEqual(statistics.stdev([1, 2, 3, 4]), 1.2909944487358056)
        self.assertEqual(statistics.linear_regression([1, 2, 3], [2, 4, 6]), (2.0, 0.0))
        self.assertEqual(statistics.correlation([1, 2, 3], [1, 2, 3]), 1.0)

    def test_monte(self):
        random.seed(42)
        self.assertAlmostEqual(
            4 * sum((random.random() ** 2 + random.random() ** 2 < 1 for _ in range(10000))) / 10000, 3.1312, delta=0.05
        )

    def test_dist(self):
        self.assertEqual(math.dist((0, 0), (3, 4)), 5.0)
        self.assertEqual(math.prod([2, 3]), 6)
