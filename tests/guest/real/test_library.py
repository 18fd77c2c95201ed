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
    assert {"ctypes", "pwd", "winreg"} < set(reasons)
    assert not {"sqlite3", "dbm", "shelve", "csv", "asyncio", "pdb", "doctest", "ssl", "smtplib"} & set(reasons)
    for kind, text in reasons.values():
        assert kind == "ModuleNotFoundError"
        assert len(text.partition(": ")[2]) > 20, text


def test_compiled_packages_say_what_to_use() -> None:
    for name in ("numpy", "pandas"):
        error = Sandbox().run(f"import {name}").error
        assert "use the standard library" in str(error)
