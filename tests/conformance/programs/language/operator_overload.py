"""Operator overload."""

import unittest, numbers, math, operator, functools, copy


class Vec:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = (x, y)

    def __add__(self, o):
        return Vec(self.x + o.x, self.y + o.y) if isinstance(o, Vec) else NotImplemented

    def __mul__(self, k):
        return Vec(self.x * k, self.y * k) if isinstance(k, numbers.Real) else NotImplemented

    __rmul__ = __mul__

    def __eq__(self, o):
        return (self.x, self.y) == (o.x, o.y)

    def __hash__(self):
        return hash((self.x, self.y))

    def __abs__(self):
        return math.hypot(self.x, self.y)

    def __repr__(self):
        return f"Vec({self.x}, {self.y})"

    def __iter__(self):
        yield from (self.x, self.y)

    def __getitem__(self, i):
        return (self.x, self.y)[i]

    def __matmul__(self, o):
        return sum(map(operator.mul, self, o))

    def __format__(self, s):
        return f"<{self.x:{s}}, {self.y:{s}}>"


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(2 * Vec(1, 2) + Vec(1, 1), Vec(3, 5))
        self.assertEqual(abs(Vec(3, 4)), 5.0)
        self.assertEqual(Vec(1, 2) @ Vec(3, 4), 11)
        self.assertEqual(f"{Vec(1, 2):.1f}", "<1.0, 2.0>")
        self.assertEqual(len({Vec(1, 2), Vec(1, 2)}), 1)
        a, b = Vec(5, 6)
        self.assertEqual((a, b), (5, 6))
        self.assertEqual(copy.copy(Vec(1, 2)), Vec(1, 2))
