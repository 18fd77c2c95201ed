"""The guest's Python files: which there are, and their bytecode, compiled by the guest itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from recipe import cpython, link, sources
from recipe.inputs import BUILD
from recipe.progress import progress
from recipe.stagehost import StageHost
from recipe.workspace import digest_files, digest_of, fresh, step

ROOT = BUILD.parent
PRELUDE, VALUES = ROOT / "guest" / "prelude", ROOT / "runtime" / "values"
# In place of packages of the standard library that are left out.
LIBRARY = ROOT / "guest" / "library"
# What makes no sense in a guest without processes, threads, sockets, a screen, or pip.
LEFT_OUT = frozenset(
    [
        "__phello__",
        "_android_support",
        "_apple_support",
        "_ios_support",
        "_osx_support",
        "config-3.13",
        "ctypes",
        "curses",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "multiprocessing",
        "site-packages",
        "test",
        "tkinter",
        "turtle",
        "turtledemo",
        "venv",
    ]
)
# Of these packages only some modules: `help()` needs the pager and nothing else of the interactive console.
PARTLY = {"_pyrepl": frozenset(["__init__.py", "pager.py"])}
KEPT_OUT_OF_PARTS = frozenset({"__pycache__", "idle_test", "tests", "test"})
HERE = Path(__file__).parent
ZONES = "usr/share/zoneinfo/"
SYSCONFIG = "_sysconfigdata__wasi_wasm32-wasi"

Files = dict[str, bytes]  # path in the guest, without the leading slash -> bytes


class Packed(NamedTuple):
    """A file that lies in the image compressed, and how many bytes it has."""

    data: bytes
    size: int


class Contents(NamedTuple):
    """The guest's files. Of those in ``packed``, compressed, some are in ``plain`` too."""

    plain: Files
    packed: dict[str, Packed]


def _python_files(root: Path, prefix: str) -> Files:
    found: Files = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if _is_wanted(parts):
            found[prefix + "/".join(parts)] = path.read_bytes()
    return found


def _is_wanted(parts: tuple[str, ...]) -> bool:
    if parts[0].removesuffix(".py") in LEFT_OUT or KEPT_OUT_OF_PARTS & set(parts):
        return False
    return parts[0] not in PARTLY or parts[-1] in PARTLY[parts[0]]


def _prelude() -> Files:
    """The prelude, and the values package that the host has too: a link in the prelude's folder leads there."""
    own = {f"lib/cloche_guest/{p.relative_to(PRELUDE).as_posix()}": p.read_bytes() for p in _prelude_files()}
    return own | {f"lib/cloche_guest/values/{p.name}": p.read_bytes() for p in sorted(VALUES.glob("*.py"))}


def _prelude_files() -> list[Path]:
    # The link is left out by name: whether rglob() follows links differs between Python versions.
    return [path for path in sorted(PRELUDE.rglob("*.py")) if path.relative_to(PRELUDE).parts[0] != "values"]


def _msgpack() -> Files:
    tree = sources.unpacked("msgpack") / "msgpack"
    names = ("__init__.py", "exceptions.py", "ext.py", "fallback.py")
    return {f"lib/msgpack/{name}": (tree / name).read_bytes() for name in names}


def standard() -> Files:
    """The sources of the standard library that the guest has, and msgpack's."""
    sysconfig = {f"lib/{SYSCONFIG}.py": (HERE / "programs" / "sysconfigdata.py").read_bytes()}
    own = {f"lib/{path.relative_to(LIBRARY).as_posix()}": path.read_bytes() for path in sorted(LIBRARY.rglob("*.py"))}
    return _python_files(sources.unpacked("cpython") / "Lib", "lib/") | own | _msgpack() | sysconfig


def _mount(host: StageHost, files: Mapping[str, bytes | Packed]) -> None:
    for path, data in files.items():
        name = path.encode()
        at = host.place("cloche_bake_room", name)
        if isinstance(data, Packed):
            packed = host.place("cloche_bake_room", data.data)
            host.checked("cloche_bake_packed", at, len(name), packed, len(data.data), data.size)
        else:
            host.checked("cloche_bake_file", at, len(name), host.place("cloche_bake_room", data), len(data))


def start(wasm: Path, files: Mapping[str, bytes | Packed], *, metered: bool = False) -> StageHost:
    """An interpreter started over these files. To count fuel, the module is compiled anew."""
    host = StageHost(wasm, None if metered else wasm.with_suffix(".cwasm"), metered=metered)
    _mount(host, {"tmp/": b"", "work/": b""} | dict(files))
    host.checked("cloche_bake_start")
    return host


def run(host: StageHost, source: str) -> None:
    """Run source text in the guest's __main__. Raises `BuildError` with the guest's traceback."""
    host.checked("cloche_bake_run", host.place("cloche_bake_room", source.encode() + b"\0"))


def _to_bytecode(base: Files, files: Files, label: str) -> Files:
    """What `compile_files.py` sends, by name, made by the guest: `base` is what its interpreter starts from."""
    wasm = link.linked() / "guest.wasm"
    script = (HERE / "programs" / "compile_files.py").read_text()
    with progress(label, len(files)) as shown:
        host = start(wasm, base | {path.replace("lib/", "source/", 1): data for path, data in files.items()})
        run(host, script)
        done = dict(_frame(frame) for frame in host.frames)
        shown.advance(len(done))
    return done


def _frame(frame: bytes) -> tuple[str, bytes]:
    name, _, code = frame.partition(b"\0")
    return name.decode(), code


def _key(*parts: str) -> str:
    script = (HERE / "programs" / "compile_files.py").read_bytes()
    return digest_of(link.key(), script, Path(__file__).read_bytes(), *parts)


def _stored(name: str, base: Files, files: Files, label: str) -> Files:
    content = digest_of(*(part for item in sorted(files.items()) for part in item))

    def work(folder: Path) -> None:
        fresh(folder)
        for path, code in _to_bytecode(base, files, label).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(code)

    folder = step(name, _key(content), work)
    names = sorted(path for kind in ("*.pyc", "*.z") for path in folder.rglob(kind))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}


def _bytecode(stored: Files) -> Files:
    return {path: data for path, data in stored.items() if path.endswith(".pyc")}


def _beside_source(path: str) -> str:
    """Where the bytecode `lib/a.pyc` stands if the source `lib/a.py` is there too."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.pyc')}.cpython-313.pyc"


def _time_zones() -> Files:
    """The time zones, where `zoneinfo` looks for a system's own. Tables made for other programs are left out."""
    root = sources.unpacked("tzdata") / "src" / "tzdata" / "zoneinfo"
    zones = [path for path in sorted(root.rglob("*")) if path.is_file() and path.read_bytes()[:4] == b"TZif"]
    return {ZONES + path.relative_to(root).as_posix(): path.read_bytes() for path in zones}


def everything() -> Contents:
    """All files of the guest: the standard library and msgpack, source and bytecode; the prelude; the time zones.

    The sources are packed. The bytecode is in both, for the bake to choose.
    """
    library = standard()
    stored = _stored("stdlib", library, library, "compile the standard library")
    bytecode = _bytecode(stored)
    prelude = _bytecode(_stored("prelude", bytecode, _prelude(), "compile the prelude"))
    plain = {_beside_source(path): code for path, code in bytecode.items()} | prelude | _time_zones()
    packed = {path: Packed(stored[f"{path}.z"], len(source)) for path, source in library.items()}
    packed |= {_beside_source(path): Packed(stored[f"{path}.z"], len(code)) for path, code in bytecode.items()}
    return Contents(plain, packed)


def key() -> str:
    """What the guest's files depend on."""
    parts = [digest_files(_prelude_files(), PRELUDE), digest_files(VALUES.glob("*.py"), VALUES)]
    return _key(cpython.compile_key(), *parts)
