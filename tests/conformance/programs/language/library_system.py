"""Library system."""

import unittest, json, re, datetime, uuid, heapq, collections, abc, typing, itertools, functools


class Item(abc.ABC):
    count = itertools.count(1)

    def __init__(self, title):
        self.id = next(Item.count)
        self.title = title

    @abc.abstractmethod
    def fee(self, days: int) -> float: ...

    def __lt__(self, o):
        return self.title < o.title

    def __repr__(self):
        return f"{type(self).__name__}({self.title!r})"


class Book(Item):
    def fee(self, days):
        return max(0, days - 14) * 0.25


class Dvd(Item):
    def fee(self, days):
        return max(0, days - 3) * 1.0


class T(unittest.TestCase):
    def test(self):
        a = [Dvd("z"), Book("a")]
        self.assertEqual(repr(sorted(a)), "[Book('a'), Dvd('z')]")
        self.assertEqual(sum((i.fee(20) for i in a)), 18.5)
        self.assertRaises(TypeError, Item, "x")

    def test_json(self):
        self.assertEqual(
            json.loads(json.dumps({"when": str(datetime.date(2024, 1, 1)), "id": str(uuid.UUID(int=1))})),
            {"when": "2024-01-01", "id": "00000000-0000-0000-0000-000000000001"},
        )

    def test_sub(self):
        self.assertEqual(sorted((c.__name__ for c in Item.__subclasses__())), ["Book", "Dvd"])
