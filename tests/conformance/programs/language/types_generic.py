"""Types generic."""

import unittest, typing, collections.abc, types, string, reprlib, pprint, textwrap


class St[T]:
    def __init__(self) -> None:
        self.i: list[T] = []

    def push(self, x: T) -> None:
        self.i.append(x)


def first[T](x: list[T]) -> T:
    return x[0]


type Alias = list[int]


class T_(unittest.TestCase):
    def test(self):
        s = St[int]()
        s.push(1)
        self.assertEqual(first(s.i), 1)
        self.assertEqual(repr(St[int]), "__main__.St[int]")
        self.assertEqual(repr(Alias.__value__), "list[int]")

    def test_proto(self):

        @typing.runtime_checkable
        class P(typing.Protocol):
            def close(self): ...

        self.assertIsInstance(open("/dev/null"), P)

    def test_pprint(self):
        self.assertEqual(pprint.pformat({"a": list(range(30)), "b": "x" * 60}, width=40).count("\n"), 30)
        self.assertEqual(reprlib.repr(list(range(100))), "[0, 1, 2, 3, 4, 5, ...]")

    def test_td(self):

        class M(typing.TypedDict, total=False):
            a: int

        self.assertEqual(M(a=1), {"a": 1})
        self.assertEqual(M.__optional_keys__, frozenset({"a"}))

    def test_fstr(self):
        x = 3.14159
        self.assertEqual(
            f"x={x:.2f} {'a':>5} {x!r} {{}} {1000:,} {255:#x} {'nested ' + f'{1 + 1}'}",
            "x=3.14     a 3.14159 {} 1,000 0xff nested 2",
        )
