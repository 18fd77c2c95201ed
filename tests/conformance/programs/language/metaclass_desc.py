"""Metaclass desc."""

import unittest, functools, operator, types


class Meta(type):
    reg = []

    def __new__(m, n, b, d, **kw):
        c = super().__new__(m, n, b, d)
        Meta.reg.append(n)
        return c

    def __init_subclass__(c, **k):
        pass


class D:
    def __set_name__(s, o, n):
        s.n = "_" + n

    def __get__(s, i, o=None):
        return s if i is None else getattr(i, s.n, 0)

    def __set__(s, i, v):
        if v < 0:
            raise ValueError("neg")
        setattr(i, s.n, v)


class A(metaclass=Meta):
    v = D()


class T(unittest.TestCase):
    def test(self):
        a = A()
        a.v = 3
        self.assertEqual(a.v, 3)
        self.assertRaises(ValueError, setattr, a, "v", -1)
        self.assertEqual(Meta.reg, ["A"])

    def test_mro(self):

        class B:
            pass

        class X(B):
            pass

        class Y(B):
            pass

        class Z(X, Y):
            pass

        self.assertEqual([c.__name__ for c in Z.__mro__], ["Z", "X", "Y", "B", "object"])
        with self.assertRaisesRegex(TypeError, "Cannot create a consistent method resolution order"):
            type("Q", (B, X), {})

    def test_slots(self):

        class S:
            __slots__ = ("a",)

        with self.assertRaisesRegex(
            AttributeError, "'S' object has no attribute 'b' and no __dict__ for setting new attributes"
        ):
            S().b = 1

    def test_total(self):

        @functools.total_ordering
        class O:
            def __init__(s, v):
                s.v = v

            def __eq__(s, o):
                return s.v == o.v

            def __lt__(s, o):
                return s.v < o.v

        self.assertTrue(O(2) >= O(1))

    def test_cached(self):

        class C:
            n = 0

            @functools.cached_property
            def p(s):
                C.n += 1
                return C.n

        c = C()
        self.assertEqual((c.p, c.p), (1, 1))

    def test_repr_rec(self):

        class F:
            def __str__(self):
                return repr(self)

        F.__repr__ = F.__str__
        with self.assertRaises(RecursionError):
            str(F())
