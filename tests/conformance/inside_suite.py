"""Runs tests of CPython inside the guest. Read as text by ``suite.py``, and run once before sessions are forked."""

import sys
import tarfile
import threading
import time
import traceback
import unittest
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_HOME = "/tmp/suite"
_MAX_SHOWN = 600
# Extension modules of CPython's own, which these test modules import for a few tests and can do without in all others.
_INTERNALS = ("_testinternalcapi", "_testcapi", "_testlimitedcapi", "_testsinglephase", "_testmultiphase")
_WITH_INTERNALS = (
    *("bytes", "class", "code", "compile", "compileall", "dis", "import", "importlib", "marshal"),
    *("pkgutil", "pyclbr", "traceback", "types"),
)
# It waits for a socket until its time is over.
_ENDLESS = "test_sock_connect_resolve_using_socket_params"
Outcomes = dict[str, tuple[str, str]]

in_threads: list[str] = []
"""What has ended threads since the latest test began: a server's thread says that there is no network."""


class Outcome(unittest.TestResult):
    """What became of each test: ``passed``, ``skipped``, ``failed`` or ``error``, and the text that says why."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: Outcomes = {}

    def startTest(self, test: unittest.TestCase) -> None:
        in_threads.clear()
        super().startTest(test)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.outcomes.setdefault(_name(test), ("passed", ""))

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.addSuccess(test)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.outcomes.setdefault(_name(test), ("skipped", reason))

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._note("failed", test, err)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._note("error", test, err)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self.outcomes[_name(test)] = ("failed", "unexpected success")

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._note("failed", test, err)

    def _note(self, kind: str, test: unittest.TestCase, err: Any) -> None:
        # As text at once: what a traceback holds on to would change what later tests see.
        error, place = err[1], _place(err[2])
        texts = [*traceback.format_exception_only(error), *(f"(in a thread: {text})" for text in in_threads)]
        self.outcomes[_name(test)] = (kind, f"{place}{''.join(texts)}"[:_MAX_SHOWN])


def _place(entry: Any) -> str:
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(entry)]
    return f"[{' '.join(place for place in places[-3:])}] "


def _name(test: Any) -> str:
    name: str = test.id()
    return name


def unpack() -> None:
    """Unpack the archive of tests that the host put in place, and make their helpers say what this system is."""
    with tarfile.open("/tmp/suite.tar") as archive:
        archive.extractall(_HOME, filter="data")
    sys.path.append(_HOME)
    support: Any = __import__("test.support", fromlist=["support"])
    # As where they are run by ``python -m test``.
    vars(sys.modules["__main__"])["__spec__"] = ModuleSpec("__main__", None)
    # It has more than WASI has. What it lacks is said by the functions that are not there.
    support.is_wasi = False
    threading_helper: Any = __import__("test.support.threading_helper", fromlist=["threading_helper"])
    threading_helper.can_start_thread = True
    utilities: Any = __import__("test.libregrtest.utils", fromlist=["utils"])
    utilities.setup_threading_excepthook()
    support.verbose = False
    support.has_socket_support = support.has_subprocess_support = True
    support.use_resources = ["cpu", "decimal", "walltime"]


def watch_threads() -> None:
    """Note what ends threads, before whoever is told of it now is told."""
    before = threading.excepthook

    def note(ended: threading.ExceptHookArgs) -> None:
        in_threads.extend(traceback.format_exception_only(ended.exc_type, ended.exc_value))
        before(ended)

    threading.excepthook = note


def _without_processes() -> None:
    """Let tests of executors be imported, which name modules of processes: those of pools of processes are skipped."""
    processes: Any = __import__("multiprocessing")
    for name in ("connection", "process", "util"):
        module = ModuleType(f"multiprocessing.{name}")
        sys.modules[module.__name__] = module
        setattr(processes, name, module)

    def check() -> None:
        raise NotImplementedError

    pool: Any = ModuleType("concurrent.futures.process")
    pool._check_system_limits = check
    sys.modules[pool.__name__] = pool


class _Internals(ModuleType):
    """Stands for a module of CPython's own that only its tests have: a test that calls it is skipped."""

    Py_C_RECURSION_LIMIT = 12_100
    """As the guest's CPython is built."""

    @staticmethod
    def get_config() -> dict[str, int]:
        """Return what decorators of tests ask for: code has positions here."""
        return {"code_debug_ranges": 1}

    @staticmethod
    def get_immortalize_deferred() -> bool:
        """Return what a build with the GIL says."""
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def skip(*args: Any, **options: Any) -> None:
            raise unittest.SkipTest(f"needs {self.__name__}")

        return skip


def _tests(suite: Any) -> Iterator[Any]:
    """Yield the tests of a suite, whatever they are grouped in."""
    for each in suite:
        if isinstance(each, unittest.BaseTestSuite):
            yield from _tests(each)
        else:
            yield each


def _load(module: str) -> tuple[unittest.TestSuite, Outcomes]:
    loader = unittest.TestLoader()
    if module.split(".")[1].removeprefix("test_") in _WITH_INTERNALS:
        sys.modules.update({name: _Internals(name) for name in _INTERNALS})
    if module.startswith("test.test_concurrent_futures."):
        _without_processes()
    try:
        __import__(module)
        suite = loader.loadTestsFromModule(sys.modules[module])
        if module == "test.test_asyncio.test_selector_events":
            suite = unittest.TestSuite(test for test in _tests(suite) if not _name(test).endswith(_ENDLESS))
        return suite, {}
    except unittest.SkipTest as reason:
        return unittest.TestSuite(), {module: ("skipped", str(reason))}
    except Exception as reason:
        return unittest.TestSuite(), {module: ("unimportable", f"{type(reason).__name__}: {reason}"[:_MAX_SHOWN])}


def names(module: str) -> list[str]:
    """Return the names of a module's tests, as those of its outcomes are."""
    return sorted({_name(test) for test in _tests(_load(module)[0])})


def run(module: str, wanted: Callable[[str], bool] = lambda name: True) -> tuple[Outcomes, float]:
    """Run a module's tests, or those that are wanted, and return what became of them, and the seconds it took."""
    result, since = Outcome(), time.monotonic()
    suite, outcomes = _load(module)
    if wanted("") is False:
        suite = unittest.TestSuite(test for test in _tests(suite) if wanted(_name(test)))
    output = sys.stdout, sys.stderr
    try:
        suite.run(result)
    finally:
        sys.stdout, sys.stderr = output
    return {**outcomes, **result.outcomes}, time.monotonic() - since


unpack()
watch_threads()
