"""Graph topology."""

import graphlib, unittest, collections


def task(deps):
    return list(graphlib.TopologicalSorter(deps).static_order())


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(task({"c": {"b"}, "b": {"a"}}), ["a", "b", "c"])

    def test_cycle(self):
        with self.assertRaises(graphlib.CycleError) as c:
            task({"a": {"b"}, "b": {"a"}})
        self.assertIn("nodes are in a cycle", str(c.exception))
