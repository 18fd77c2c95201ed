"""What happens once, before the image is taken: everything a fresh isolate should find done.

Nothing here may depend on time, chance or the machine: the same inputs give the same image.
"""

import gc
import importlib
import importlib.util
import marshal
import os
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from types import FunctionType
from typing import Any

import _cloche
from cloche_guest.unsupported import select, sockets, tls
from cloche_guest.unsupported.reasons import install as install_absent
from cloche_guest.unsupported.reasons import put

__all__ = ["LIMITS", "USUAL", "import_modules", "main", "place"]

PACKAGES = "lib/site-packages"
"""Where packages lie that are added to an image."""
# Of hash-based bytecode that is never compared with its source (PEP 552: flags 0b01).
_HEADER = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
_SETTLE = 11
# Text that is hardly ever read takes a quarter of its room when it is compressed.
_PACKED = (".py", ".txt", ".json", ".csv", ".css", ".html", ".js", ".md", ".rst", ".svg", "METADATA", "RECORD")

# Free bytes in the image: a run that needs no more does not grow the memory, so that its guest can be used again.
_HEADROOM = 4 << 20
# Often enough for the interpreter to have specialised the code of every request, and its tables of types and names.
_ROUNDS = 40
# Enough for what is counted seldom to be counted.
_ROUNDS_WATCHED = 8
# File names of programs that are in the interpreter's table of names already, so that it is not written to.
_NAMES = 100
_names: list[str] = []
_number = count()
_TOOL = {"name": "warm_up", "params": [["n", 1, False, None, "int"]], "returns": "int", "doc": "", "async": False}
# The caps that a guest starts with: the host's defaults, so that it need not send them.
LIMITS = {
    "files": 10_000,
    "bytes": 64 << 20,
    "message": 16_384,
    "result": 4 << 20,
    "displays": 8 << 20,
    "argument": 4 << 20,
    "traceback": 65_536,
}
_PROGRAMS = (
    "x{0} = {0}",
    "print('' * {0})",
    "x{0} = [{0}, 'a', 1.5]\nlen(x{0})",
    "warm_up({0})",
    "1 / 0",
    "try:\n  missing{0}\nexcept NameError: pass",
)
# fmt: off
USUAL = (
    "abc", "argparse", "array", "ast", "asyncio", "base64", "binascii", "bisect", "calendar", "cmath",
    "codecs", "collections", "collections.abc", "concurrent.futures", "configparser", "contextlib",
    "contextvars", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "email", "enum", "errno",
    "fnmatch", "fractions", "functools", "gc", "getpass", "glob", "gzip", "hashlib", "heapq", "hmac", "html",
    "html.parser", "http", "inspect", "io", "ipaddress", "itertools", "json", "keyword", "linecache",
    "locale", "logging", "math", "numbers", "operator", "os", "os.path", "pathlib", "pickle", "pprint",
    "queue", "random", "re", "reprlib", "secrets", "shlex", "shutil", "signal", "socket", "stat",
    "statistics", "string", "struct", "subprocess", "sys", "tempfile", "textwrap", "threading", "time",
    "timeit", "token", "tokenize", "traceback", "types", "typing", "unicodedata", "urllib.error",
    "urllib.parse", "uuid", "warnings", "weakref", "xml.etree.ElementTree", "zipfile", "zlib", "zoneinfo",
)
# fmt: on


def main(home: str = "/work") -> None:
    """Prepare the interpreter and register the step function. Called once, by the recipe that bakes the image.

    ``home`` becomes the working folder, and the first place where modules are looked for.
    """
    _stand_in()
    _install(home)
    _settle_in(home)
    _register()
    _import_usual()
    _exercise()
    _come_to_rest()


def _stand_in() -> None:
    """Put stand-ins and the reasons for what is absent in place, before asyncio asks for ssl, sockets and select."""
    sys.modules["_socket"] = sockets
    sys.modules["select"] = select
    sys.modules["ssl"] = tls
    install_absent()


def _install(home: str) -> None:
    from cloche_guest import streams
    from cloche_guest.entropy import install as install_entropy
    from cloche_guest.policy import install as install_policy
    from cloche_guest.program import install as install_main
    from cloche_guest.sources import install as install_sources
    from cloche_guest.streams import install as install_streams
    from cloche_guest.substitutes import install as install_substitutes
    from cloche_guest.threads import install as install_threads
    from cloche_guest.tracebacks import install as install_tracebacks
    from cloche_guest.unsupported.hashes import install as install_hashes
    from cloche_guest.unsupported.system import install as install_system
    from cloche_guest.unsupported.system import refuse_processes

    install_substitutes()
    refuse_processes()
    install_system()
    install_threads()
    install_hashes()
    install_policy()
    install_main(home)
    install_tracebacks()
    install_sources()
    install_streams()
    install_entropy()
    streams.restore()
    # Programs that replace the streams put these back, or write to them around what they have put in their place.
    put(sys, __stdout__=streams.OUT, __stderr__=streams.ERR, __stdin__=streams.IN)


def _settle_in(home: str) -> None:
    os.chdir(home)
    os.environ["HOME"] = home
    sys.path.insert(0, home)  # modules the program writes itself can be imported
    sys.dont_write_bytecode = True


def _register() -> None:
    from cloche_guest import step

    _cloche.set_step(step.step)
    step.serve(_SETTLE, _settle_again)
    # Not needed by the prelude itself: an agent asks for it by its name.
    importlib.import_module("cloche_guest.agents.session")
    importlib.import_module("cloche_guest.cells")


def place(files: Mapping[str, bytes]) -> None:
    """Add packages' files to the image, by their paths below :data:`PACKAGES`; modules with their bytecode.

    A module that does not compile, such as one for another version of Python, is added without. Raises FileExistsError.
    """
    for name, data in sorted(files.items()):
        path = f"{PACKAGES}/{name}"
        if name.endswith(_PACKED):
            _cloche.place(path, zlib.compress(data, 9), len(data))
        else:
            _cloche.place(path, data, -1)
        if name.endswith(".py"):
            _place_bytecode(path, data)
    importlib.invalidate_caches()


def _place_bytecode(path: str, source: bytes) -> None:
    try:
        code = compile(source, f"/{path}", "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError):
        return
    folder, _, name = path.rpartition("/")
    cached = f"{folder}/__pycache__/{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"
    _cloche.place(cached, _HEADER + marshal.dumps(code), -1)


def import_modules(names: Sequence[str]) -> None:
    """Import modules, those of :data:`PACKAGES` among them, so that a fresh isolate has them. Raises what they do."""
    from cloche_guest.entropy import adopt_numpy

    if f"/{PACKAGES}" not in sys.path:
        sys.path.append(f"/{PACKAGES}")
    for name in names:
        importlib.import_module(name)
    adopt_numpy()


def _settle_again() -> None:
    """Be as before the first request, with what has been added since: what a request of the bake asks for last."""
    from cloche_guest import state

    _requests()
    state.apply_caps(LIMITS)
    _come_to_rest()
    _cloche.seal()


def _come_to_rest() -> None:
    from cloche_guest import state
    from cloche_guest.entropy import rest
    from cloche_guest.program import settle

    rest()
    settle()
    gc.collect()
    # First immortal, as a frozen object is in no list of the collector's.
    _cloche.immortalize(gc.get_objects())
    gc.freeze()
    _cloche.settle(_HEADROOM)
    state.renew()


def _import_usual() -> None:
    """Import the modules that programs use most; one the build lacks is left out."""
    for name in USUAL:
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"not in this build: {name} ({error})", file=sys.stderr)


def _exercise() -> None:
    """Run the paths of a first snippet once, so that their caches and lazily made parts are in the image."""
    _data()
    _snippets()
    _failure()
    _requests()


def _data() -> None:
    import json
    import re

    json.loads(json.dumps({"a": [1, 2.5, None, "x"]}, indent=1))
    for pattern in (r"\w+", r"\d+", r"\s+", r"[^a-zA-Z0-9]", r"^.*$"):
        re.compile(pattern).search("warm up 1")


def _snippets() -> None:
    from cloche_guest.policy import run_coroutine
    from cloche_guest.program import compiled

    compiled("import math\nx = 1\nx", "<warm up>")
    run_coroutine(_pause())


async def _pause() -> None:
    import asyncio

    await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))


def _failure() -> None:
    from cloche_guest.tracebacks import describe

    try:
        raise ValueError("warm up")
    except ValueError as error:
        describe(error, "<warm up>")


def _requests() -> None:
    """Answer the usual requests, then forget them all; what is written each time is put side by side."""
    from cloche_guest.program import NAMESPACE, settle

    # Else the first program that is the last one would call the image's exit handlers.
    settle()
    before = dict(NAMESPACE)
    _names.extend(sys.intern(f"<run {number}>") for number in range(1, _NAMES + 1))
    for _ in range(_ROUNDS):
        _round()
    _cloche.cluster(_restless())
    # The callers' caches knew the functions as they were before.
    for _ in range(_ROUNDS):
        _round()
    _forget_requests()
    NAMESPACE.clear()
    NAMESPACE.update(before)


def _round(look: Callable[[], object] = int) -> None:
    """Answer each usual request, as the first and as a later one, and ``look`` after each."""
    from cloche_guest import step
    from cloche_guest.values import encode

    no_tools: list[Any] = []
    number = next(_number)
    for program in _PROGRAMS:
        _forget_requests()
        requests: list[list[Any]] = [
            [1, text, f"<run {number % 9 + 1}>", options]
            for options in ({"last": True}, {"tools": [_TOOL], "limits": LIMITS}, {})
            for text in (program.format(number), "x = 1")
        ]
        for request in (*requests, [5, f"x{number}"], [4, {"y": number}], [3, no_tools]):
            step.step(encode(request))
            look()


def _forget_requests() -> None:
    from cloche_guest import sources, step
    from cloche_guest.program import forget as forget_programs

    forget_programs()
    sources.forget()
    step.forget()


def _restless() -> list[FunctionType]:
    """Return the functions whose code the usual requests still write to, in the order of their names."""
    quiet = [(each, _instructions(each)) for each in gc.get_objects() if isinstance(each, FunctionType)]
    restless: list[FunctionType] = []

    def look() -> None:
        moved = [each for each, before in quiet if _instructions(each) != before]
        if moved:
            restless.extend(moved)
            quiet[:] = [(each, before) for each, before in quiet if _instructions(each) == before]

    _plain_requests(look)
    plain = set(restless)
    # After each request, and not only after all of them: a branch notes which way it went the last sixteen times, and
    # the same requests in the same order leave the same note.
    _round(look)
    for _ in range(_ROUNDS_WATCHED):
        _round()
    look()
    # The smallest programs write to the first pages only.
    return sorted(restless, key=lambda each: (each not in plain, each.__module__, each.__qualname__))


def _plain_requests(look: Callable[[], object]) -> None:
    """Answer requests that are all that their guest is asked, and each request's next one; ``look`` after each."""
    from cloche_guest import step
    from cloche_guest.values import encode

    no_options: dict[str, Any] = {}
    for _ in range(_ROUNDS_WATCHED):
        _forget_requests()
        number = next(_number)
        for text in (f"x = {number}", f"y = {number}"):
            step.step(encode([1, text, f"<run {number % 9 + 1}>", no_options]))
            look()


def _instructions(function: FunctionType) -> bytes:
    """Return the instructions as they stand now, with the interpreter's notes in between."""
    code: Any = function.__code__
    instructions: bytes = code._co_code_adaptive
    return instructions
