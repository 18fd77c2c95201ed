"""Runs tests of NumPy and pandas inside the guest, with pytest. Read as text by ``suite.py``."""

import importlib
import json
import os
import sys
import tarfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_HOME = "/tmp/suite"
_MAX_SHOWN = 500
_OPTIONS = ("-p", "no:cacheprovider", "-p", "no:faulthandler", "--capture=sys", "--tb=native", "--assert=plain", "-q")
_PLACE = (f"--rootdir={_HOME}", f"--confcutdir={_HOME}")
# Modules in C that only NumPy's own tests have, and the functions of them that are called while tests are collected.
_INTERNALS = (
    *("_multiarray_tests", "_umath_tests", "_rational_tests", "_struct_ufunc_tests", "_operand_flag_tests", "_simd"),
    *("_multiarray_umath_tests",),
)


class _Missing(ModuleType):
    """Stands for a module that is not here: a test that calls something of it is skipped."""

    @staticmethod
    def get_fpu_mode() -> int:
        """Return what is asked for around each test: there is one mode."""
        return 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _skipper(f"needs {self.__name__}.{name}")


class _Skipper:
    """Whatever is done with it skips the test; at the top of a module it can be passed on, and be a decorator."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __call__(self, *args: Any, **options: Any) -> Any:
        if "PYTEST_CURRENT_TEST" in os.environ:
            pytest.skip(self._why)
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def _skipper(why: str) -> Any:
    return _Skipper(why)


class _Hypothesis(ModuleType):
    """Stands for Hypothesis, which has modules in C: tests of generated data are skipped."""

    @staticmethod
    def given(*args: Any, **options: Any) -> Callable[[Any], Any]:
        """Return a decorator that skips."""
        skip: Callable[[Any], Any] = pytest.mark.skip(reason="needs hypothesis")
        return skip

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Decorators(self.__name__)


class _Decorators:
    """Settings, strategies and the like: of any name, called, iterated and used as decorators, without an effect."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *args: Any, **options: Any) -> Any:
        one = args[0] if len(args) == 1 else None
        return one if callable(one) else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __or__(self, other: Any) -> Any:
        return self


class Reporter:
    """What becomes of each test, as a line at once: what ends the guest leaves the lines that were written before."""

    def __init__(self, skip: frozenset[str], out: Any) -> None:
        self._skip, self._out, self._found = skip, out, ("passed", "")

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if _name(item.nodeid) not in self._skip]

    @staticmethod
    def pytest_fixture_setup(fixturedef: Any, request: Any) -> None:
        """Skip tests of what is written to descriptors past Python: there are none."""
        if fixturedef.argname in ("capfd", "capfdbinary"):
            pytest.skip("needs descriptors that can be redirected")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self._say("end", report.nodeid, "unimportable", _reason(report))
        elif report.skipped:
            self._say("end", report.nodeid, "skipped", _reason(report))

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self._found = ("passed", "")
        self._say("begin", nodeid, "", "")

    def pytest_runtest_logreport(self, report: Any) -> None:
        expected = hasattr(report, "wasxfail")
        if report.failed:
            self._found = ("failed" if report.when == "call" else "error", _reason(report))
        elif report.skipped and not expected:
            self._found = ("skipped", _reason(report))

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        self._say("end", nodeid, *self._found)

    def _say(self, what: str, nodeid: str, kind: str, text: str) -> None:
        self._out.write(json.dumps([what, _name(nodeid), kind, text]) + "\n")


def _name(nodeid: str) -> str:
    return nodeid.removeprefix(f"{_HOME[1:]}/")


def _reason(report: Any) -> str:
    shown = report.longrepr
    if isinstance(shown, tuple):
        return str(shown[2])
    lines = [line for line in str(shown).strip().splitlines() if line.strip()]
    places = [line.strip().removeprefix('File "') for line in lines if line.startswith('  File "')]
    said = [line for line in lines if not line.startswith(" ")]
    place = places[-1].rpartition("/")[2] if places else ""
    return f"[{place}] {' '.join(said[1:] or said)}"[:_MAX_SHOWN]


@contextmanager
def _writing() -> Generator[None]:
    kept = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        sys.stdout = sys.stderr = nothing
        try:
            yield
        finally:
            sys.stdout, sys.stderr = kept


def run(module: str, skip: list[str]) -> int:
    """Run the tests of a file below the packages but those that are skipped, and print a line for each."""
    os.environ["NPY_AVAILABLE_MEM"], os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "0.3 GB", "1"
    out = sys.stdout
    with _writing():
        reporter = Reporter(frozenset(skip), out)
        return int(pytest.main([*_OPTIONS, *_PLACE, f"{_HOME}/{module}"], plugins=[reporter]))


def unpack() -> None:
    """Unpack the archive that the host put in place: pytest, and tests, which are found as parts of their packages."""
    with tarfile.open("/tmp/suite.tar") as archive:
        archive.extractall(_HOME, filter="data")
    os.remove("/tmp/suite.tar")
    sys.path.append(_HOME)
    for package in ("numpy", *(f"numpy.{part}" for part in os.listdir(f"{_HOME}/numpy")), "pandas"):
        if os.path.isdir(place := f"{_HOME}/{package.replace('.', '/')}"):
            importlib.import_module(package).__path__.append(place)
    importlib.invalidate_caches()
    for name in _INTERNALS:
        sys.modules[f"numpy._core.{name}"] = _Missing(f"numpy._core.{name}")
    for name in ("hypothesis", *(f"hypothesis.{part}" for part in ("strategies", "extra", "extra.numpy", "errors"))):
        sys.modules[name] = _Hypothesis(name)
    # Not what other builds for WebAssembly lack: flags of floating-point exceptions are here.
    for name, fact in (
        ("numpy.testing", "IS_WASM"),
        ("numpy.testing._private.utils", "IS_WASM"),
        ("pandas.compat", "WASM"),
    ):
        setattr(importlib.import_module(name), fact, False)
    vars(sys.modules["__main__"])["__spec__"] = ModuleSpec("__main__", None)


unpack()
pytest: Any = importlib.import_module("pytest")
