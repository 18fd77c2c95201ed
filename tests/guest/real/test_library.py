"""The standard library in the image: each public module imports, or says why it is not there."""

from cloche.runtime.errors import GuestException
from cloche.runtime.sandbox import Sandbox

IMPORT_ALL = """
import importlib, sys
reasons = {}
for name in sorted(sys.stdlib_module_names):
    # The one prints a poem.
    if name.startswith("_") or name == "this":
        continue
    try:
        importlib.import_module(name)
    except ImportError as error:
        reasons[name] = (type(error).__name__, str(error))
reasons
"""


def test_every_module_imports_or_says_why_not() -> None:
    reasons = Sandbox().run(IMPORT_ALL).unwrap()
    assert {"curses", "pwd", "winreg"} < set(reasons)
    assert not {"sqlite3", "dbm", "shelve", "csv", "asyncio", "pdb", "doctest", "ssl", "smtplib"} & set(reasons)
    for kind, text in reasons.values():
        assert kind == "ModuleNotFoundError"
        assert len(text.partition(": ")[2]) > 20, text


def test_compiled_packages_say_what_to_use() -> None:
    for name in ("numpy", "pandas"):
        error = Sandbox().run(f"import {name}").error
        assert "use the standard library" in str(error)


NATIVE_TYPES = """
from ctypes import *
class Point(Structure):
    _fields_ = [("x", c_int32), ("y", c_double), ("name", c_char * 8)]
class Bits(BigEndianStructure):
    _pack_ = 1
    _fields_ = [("kind", c_uint8), ("size", c_uint16)]
class Word(Union):
    _fields_ = [("whole", c_uint32), ("bytes", c_ubyte * 4)]
class Node(Structure):
    pass
Node._fields_ = [("value", c_int), ("next", POINTER(Node))]
point, row, text = Point(1, 2.5, b"p"), (c_short * 3)(1, 70000), create_string_buffer(b"abc")
point.x += 2**31
memmove(text, b"xy", 2)
add = CFUNCTYPE(c_int, c_int, c_int)(lambda one, other: one + other)
[c_int32(2**31).value, c_uint8(257).value, point.x, point.name, sizeof(Point), bytes(Bits(1, 2)),
 list(Word(whole=258).bytes), list(row), text.value, cast(row, POINTER(c_short))[1], add(2, 3),
 Node(1, pointer(Node(2))).next.contents.value, Point.from_buffer_copy(bytes(24)).y, repr(c_char(b"a"))]
"""


def test_types_of_ctypes_are_laid_out_as_in_c() -> None:
    expected = [-(2**31), 1, -(2**31) + 1, b"p", 24, b"\x01\x00\x02", [2, 1, 0, 0], [1, 4464, 0]]
    assert Sandbox().run(NATIVE_TYPES).unwrap() == [*expected, b"xyc", 4464, 5, 2, 0.0, "c_char(b'a')"]
    wrong = "from ctypes import *\nclass P(Structure):\n    _fields_ = [('x', c_int)]\n"
    for use, error in {"P(1, 2)": "TypeError", "(c_int * 2)()[2]": "IndexError", "c_int('x')": "TypeError"}.items():
        found = Sandbox().run(wrong + use).error
        assert isinstance(found, GuestException)
        assert found.type_name == error


def test_ctypes_has_types_and_loads_no_library() -> None:
    assert Sandbox().run("import ctypes\n[ctypes.sizeof(ctypes.c_int64), ctypes.c_int(3).value]").unwrap() == [8, 3]
    for use in ("CDLL('libc.so.6')", "cdll.msvcrt", "addressof(ctypes.c_int())", "pythonapi.Py_Exit(1)"):
        assert "native libraries cannot be loaded" in str(Sandbox().run(f"import ctypes\nctypes.{use}").error)
    assert Sandbox().run("import ctypes.util\nctypes.util.find_library('c')").unwrap() is None


MAPPED = """
import mmap, re
with open("/work/a", "wb") as file:
    file.write(b"one two\\nthree\\n")
with open("/work/a", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
    found = [len(mapped), mapped[:3], mapped.readline(), mapped.find(b"three"), mapped.tell()]
    found.append(re.search(rb"t\\w+", mapped).group())
    mapped[0:3] = b"ONE"
    found.append(open("/work/a", "rb").read(3))
    memoryview(mapped)[4:7] = b"TWO"
with open("/work/a", "rb") as file, mmap.mmap(file.fileno(), 7, access=mmap.ACCESS_READ) as mapped:
    found.append(mapped.read())
    try:
        mapped[0] = 1
    except TypeError as error:
        found.append(str(error))
room = mmap.mmap(-1, 4)
found.extend([room.write(b"ab"), room[:], mapped.closed])
found
"""


def test_files_can_be_mapped() -> None:
    readonly = "mmap can't modify a readonly memory map."
    expected = [14, b"one", b"one two\n", 8, 8, b"two", b"ONE", b"ONE TWO", readonly, 2, b"ab\0\0", True]
    assert Sandbox().run(MAPPED).unwrap() == expected
