"""Json files."""

import json, os, tempfile, unittest, datetime, decimal


class Enc(json.JSONEncoder):
    def default(self, o):
        if isinstance(o, (datetime.date, datetime.datetime)):
            return o.isoformat()
        if isinstance(o, decimal.Decimal):
            return str(o)
        return super().default(o)


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(
            json.dumps({"d": datetime.date(2020, 1, 2), "x": decimal.Decimal("1.10")}, cls=Enc, sort_keys=True),
            '{"d": "2020-01-02", "x": "1.10"}',
        )

    def test_type(self):
        with self.assertRaisesRegex(TypeError, "Object of type set is not JSON serializable"):
            json.dumps({1}, cls=Enc)

    def test_err(self):
        with self.assertRaises(json.JSONDecodeError) as c:
            json.loads('{"a": }')
        self.assertEqual(str(c.exception), "Expecting value: line 1 column 7 (char 6)")

    def test_hook(self):
        self.assertEqual(json.loads('{"a": {"b": 1}}', object_pairs_hook=list), [("a", [("b", 1)])])

    def test_indent(self):
        self.assertEqual(json.dumps([1, {"a": []}], indent="\t"), '[\n\t1,\n\t{\n\t\t"a": []\n\t}\n]')

    def test_circ(self):
        a = []
        a.append(a)
        with self.assertRaisesRegex(ValueError, "Circular reference"):
            json.dumps(a)

    def test_deep(self):
        with self.assertRaises(RecursionError):
            json.loads("[" * 100000)

    def test_nan(self):
        self.assertEqual(json.dumps([float("nan"), float("inf")]), "[NaN, Infinity]")
