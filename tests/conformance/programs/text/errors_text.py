"""Errors text."""

import unittest, traceback, sys, io, warnings


class T(unittest.TestCase):
    def text(self, code):
        try:
            exec(code, {})
        except Exception as e:
            return f"{type(e).__name__}: {e}"

    def test_all(self):
        for code, want in {
            "x": "NameError: name 'x' is not defined",
            "None.a": "AttributeError: 'NoneType' object has no attribute 'a'",
            "[][1]": "IndexError: list index out of range",
            "{}['k']": "KeyError: 'k'",
            "int('a')": "ValueError: invalid literal for int() with base 10: 'a'",
            "1+'a'": "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
            "(lambda: 1)(2)": "TypeError: <lambda>() takes 0 positional arguments but 1 was given",
            "a, b = 1,": "ValueError: not enough values to unpack (expected 2, got 1)",
            "import json; json.foo": "AttributeError: module 'json' has no attribute 'foo'",
            "open('/nope/x')": "FileNotFoundError: [Errno 2] No such file or directory: '/nope/x'",
            "open('/tmp')": "IsADirectoryError: [Errno 21] Is a directory: '/tmp'",
            "open('/x', 'q')": "ValueError: invalid mode: 'q'",
            "'a'.encode('nope')": "LookupError: unknown encoding: nope",
            "b'\\xff'.decode()": "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
            "float('x')": "ValueError: could not convert string to float: 'x'",
            "1/0": "ZeroDivisionError: division by zero",
            "2.0**10000": "OverflowError: (34, 'Numerical result out of range')",
            "import os; os.mkdir('/tmp')": "FileExistsError: [Errno 17] File exists: '/tmp'",
            "import os; os.rmdir('/nope')": "FileNotFoundError: [Errno 2] No such file or directory: '/nope'",
            "import os; os.rename('/nope', '/b')": "FileNotFoundError: [Errno 2] No such file or directory: '/nope' -> '/b'",
            "next(iter([]))": "StopIteration: ",
            "print(1, foo=2)": "TypeError: print() got an unexpected keyword argument 'foo'",
            "range(1,2,0)": "ValueError: range() arg 3 must not be zero",
            "max([])": "ValueError: max() iterable argument is empty",
            "import math; math.sqrt(-1)": "ValueError: math domain error",
            "import math; math.exp(1000)": "OverflowError: math range error",
            "hash([])": "TypeError: unhashable type: 'list'",
            "'%d' % 'a'": "TypeError: %d format: a real number is required, not str",
            "'{'.format()": "ValueError: Single '{' encountered in format string",
            "f(": "SyntaxError: '(' was never closed (<string>, line 1)",
            "if 1:\nx": "IndentationError: expected an indented block after 'if' statement on line 1 (<string>, line 2)",
            "chr(-1)": "ValueError: chr() arg not in range(0x110000)",
            "[1]*10**20": "OverflowError: cannot fit 'int' into an index-sized integer",
            "'a' * (2**62)": "MemoryError: ",
        }.items():
            self.assertEqual(self.text(code), want, code)

    def test_chain(self):
        try:
            try:
                1 / 0
            except ZeroDivisionError as e:
                raise ValueError("x") from e
        except ValueError:
            t = traceback.format_exc()
        self.assertIn("\nThe above exception was the direct cause of the following exception:\n", t)

    def test_group(self):
        try:
            raise ExceptionGroup("g", [ValueError(1), TypeError(2)])
        except* ValueError as g:
            self.assertEqual(len(g.exceptions), 1)
        except* TypeError:
            pass

    def test_note(self):
        e = ValueError("a")
        e.add_note("n")
        self.assertEqual("".join(traceback.format_exception_only(e)), "ValueError: a\nn\n")

    def test_suggest(self):
        try:
            exec("value = 1\nvalu", {})
        except NameError as e:
            self.assertIn("Did you mean: 'value'?", "".join(traceback.format_exception(e)))
