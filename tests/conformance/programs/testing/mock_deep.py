"""Mock deep."""

import unittest, unittest.mock as um
from unittest.mock import Mock, MagicMock, patch, call, PropertyMock, create_autospec, ANY, sentinel, mock_open, seal


class Svc:
    def get(self, k, *, deep=False):
        return k

    @property
    def p(self):
        return 1


class T(unittest.TestCase):
    def test_auto(self):
        m = create_autospec(Svc, instance=True)
        m.get("a", deep=True)
        m.get.assert_called_once_with("a", deep=True)
        self.assertRaises(TypeError, m.get)

    def test_prop(self):
        with patch.object(Svc, "p", new_callable=PropertyMock, return_value=7):
            self.assertEqual(Svc().p, 7)

    def test_calls(self):
        m = Mock()
        m.a(1).b(2)
        self.assertEqual(m.mock_calls, [call.a(1), call.a().b(2)])
        m.assert_has_calls([call.a(ANY)])
        with self.assertRaises(AssertionError) as c:
            m.a.assert_called_with(3)
        self.assertIn("Expected: a(3)\n  Actual: a(1)", str(c.exception))

    def test_open(self):
        with patch("builtins.open", mock_open(read_data="k,v\n1,2\n")) as o:
            import csv

            self.assertEqual(list(csv.reader(open("x"))), [["k", "v"], ["1", "2"]])
            o.assert_called_once_with("x")

    def test_dict(self):
        d = {"a": 1}
        with patch.dict(d, {"b": 2}):
            self.assertEqual(d, {"a": 1, "b": 2})
        self.assertEqual(d, {"a": 1})

    def test_side(self):
        m = Mock(side_effect=[1, ValueError("x")])
        self.assertEqual(m(), 1)
        self.assertRaises(ValueError, m)
        self.assertRaises(StopIteration, m)

    def test_magic(self):
        m = MagicMock()
        m.__len__.return_value = 3
        self.assertEqual(len(m), 3)
        m.__getitem__.side_effect = {"a": 1}.__getitem__
        self.assertEqual(m["a"], 1)
        self.assertEqual(repr(sentinel.x), "sentinel.x")

    def test_multi(self):
        with patch.multiple(Svc, get=um.DEFAULT) as v:
            v["get"].return_value = 1
            self.assertEqual(Svc().get("z"), 1)

    def test_bad(self):
        with self.assertRaises(AttributeError):
            patch("json.nope").start()
        with self.assertRaises(ModuleNotFoundError):
            patch("nomod_x.y").start()

    def test_builtin_sorted(self):
        with patch("builtins.sorted", return_value=[9]):
            self.assertEqual(sorted([1]), [9])
