"""The standard library in the image: each public module imports, or says why it is not there."""

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


def test_ctypes_has_types_and_loads_no_library() -> None:
    assert Sandbox().run("import ctypes\n[ctypes.sizeof(ctypes.c_int64), ctypes.c_int(3).value]").unwrap() == [8, 3]
    for use in ("ctypes.CDLL('libc.so.6')", "ctypes.cdll.msvcrt", "ctypes.string_at(0)", "ctypes.pythonapi.Py_Exit(1)"):
        assert "native libraries cannot be loaded" in str(Sandbox().run(f"import ctypes\n{use}").error)
    assert Sandbox().run("import ctypes.util\nctypes.util.find_library('c')").unwrap() is None
    assert "files cannot be mapped" in str(Sandbox().run("import mmap\nmmap.mmap(-1, 10)").error)
