"""The data image: the packages' objects linked with those of the core, their Python files placed, imported and baked.

The link, baked with the core's own files, is the image's base. On top of it the packages' Python files are placed and
imported, as in any image that is built on another one.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from cloche.runtime.images import Image
from cloche.runtime.limits import Limits
from cloche.runtime.packages import read_wheel
from cloche.runtime.wasm import module_file
from recipe import bake, cpython, inputs, licences, link, modules, pausing, sources, stdlib, toolchain
from recipe.data import symbols
from recipe.data.packages import BLIS, EXCEPTIONS, PACKAGES, Built
from recipe.data.projects import NUMPY, PANDAS
from recipe.fetch import fetch
from recipe.progress import progress, run
from recipe.workspace import BuildError, digest_of, fresh, step

HERE = inputs.BUILD / "recipe"
SETUP = HERE / "programs" / "warm_data.py"
LIMITS = Limits(fuel=900_000_000_000, time=30.0, memory="512 MiB")
"""What suits programs that work with data."""


class Part(Protocol):
    """A package with C in it, or a library of C that packages are linked with."""

    @property
    def name(self) -> str:
        """The name of its source among the inputs."""
        ...

    def key(self) -> str:
        """What its objects depend on."""
        ...

    def built(self) -> Built:
        """What it is for the guest, compiled unless it is there. Raises `BuildError`."""
        ...


PARTS: tuple[Part, ...] = (BLIS, NUMPY, PANDAS, *PACKAGES)
NOTEBOOK = HERE / "programs" / "IPython"
"""What programs written for notebooks import."""
HEADERS = ("pybind11", "cppy")
"""Inputs whose licences belong to it, as parts of their headers are in what was compiled with them."""
IMPORTS = (
    *("numpy", "numpy.linalg", "numpy.random", "numpy.fft", "numpy.ma", "numpy.polynomial", "pandas"),
    *("matplotlib", "matplotlib.pyplot", "matplotlib.backends.backend_agg", "PIL.Image", "PIL.PngImagePlugin"),
    *("seaborn", "pytz", "dateutil.parser", "dateutil.rrule", "dateutil.tz", "dateutil.relativedelta", "requests"),
    *("bs4", "html5lib", "openpyxl", "networkx", "jinja2", "yaml", "tabulate", "markdown", "attr", "attrs"),
    *("packaging.version", "pyparsing", "tqdm", "xmltodict", "regex", "doctest"),
)
"""What is imported before a program starts. The other packages are there as files: sympy, nltk, faker."""
LOCALES = frozenset(("en", "en_US", "en_GB", "de", "de_DE", "fr_FR", "es_ES", "it_IT", "la", "ja_JP", "zh_CN"))
"""Languages in which faker makes things up, of the hundred that it knows."""
_LOCALE = re.compile(r"faker/providers/\w+/([a-z]{2,3}(?:_[A-Z]{2})?)/")

# C++'s exceptions, out of the toolchain's own sources: its library for this target is built without them.
RUNTIME_FLAGS = (
    *("-O3", "-g0", "-msimd128", "-DNDEBUG", "-w", "-D_LIBCXXABI_HAS_NO_THREADS", "-D_LIBCPP_HAS_THREADS=0"),
    *("-DLIBCXXABI_USE_LLVM_UNWINDER", "-D_LIBUNWIND_HAS_NO_THREADS", "-D_LIBUNWIND_HIDE_SYMBOLS"),
    *("-D_LIBCXXABI_BUILDING_LIBRARY", "-D_LIBCPP_BUILDING_LIBRARY"),
)
RUNTIME_FOLDERS = (
    *("libcxxabi/include", "libcxxabi/src", "libcxx/src", "libcxx/include"),
    *("libunwind/include", "libunwind/src"),
)
RUNTIME = ("cxa_exception", "cxa_personality", "cxa_aux_runtime")


def exception_runtime() -> Path:
    """A folder with the objects that throwing and catching needs, and setjmp, which is made of the same."""

    def work(folder: Path) -> None:
        library, environment = toolchain.zig().parent / "lib", toolchain.environment(fresh(folder))
        places = [f"-I{library / name}" for name in RUNTIME_FOLDERS]
        jobs = [("c++", library / f"libcxxabi/src/{name}.cpp", ["-std=c++23", *places]) for name in RUNTIME]
        # Not with the C++ library's folders: its headers would take the place of C's.
        jobs += [("cc", library / "libunwind/src/Unwind-wasm.c", ["-std=c2x", f"-I{library / 'libunwind/include'}"])]
        jobs += [("cc", library / "libc/wasi/libc-top-half/musl/src/setjmp/wasm32/rt.c", ["-std=c17"])]
        jobs += [("c++", HERE / "new.cpp", ["-std=c++23"]), ("cc", HERE / "exceptions.S", [])]
        with progress("compile the exceptions' run time", len(jobs)) as shown:
            for tool, source, own in jobs:
                flags = [*RUNTIME_FLAGS, *EXCEPTIONS, *own] if own else list(EXCEPTIONS)
                target = folder / f"{source.stem}.o"
                argv: list[str | Path] = [toolchain.zig(), tool, "-target", toolchain.TARGET, *flags]
                argv += ["-c", source, "-o", target]
                run(argv, folder / "log", cwd=folder, env=environment, shown=shown)

    own = [(HERE / name).read_bytes() for name in ("exceptions.S", "new.cpp")]
    return step("exceptions", digest_of(toolchain.identity(), *own, *RUNTIME_FLAGS, *EXCEPTIONS), work)


def _core_objects(folder: Path) -> list[Path]:
    """The core's own objects, the C library's functions first: see `link`."""
    first = {source.stem for module in modules.library() for source in module.files}
    return sorted(folder.glob("*.o"), key=lambda path: (path.stem.rpartition("-")[0] not in first, path.name))


def _added(parts: tuple[Part, ...], folder: Path, first: list[Path]) -> tuple[list[Path], list[str]]:
    """The objects of the packages, with names that fit together, and a line of the table for each module."""
    separator = symbols.Separator(folder / "renamed", symbols.defined(path for path in first if path.suffix == ".o"))
    added, rows = list[Path](), list[str]()
    for part in parts:
        made = part.built()
        added += separator.add(part.name, made.objects, made.modules)
        rows += [f'EXTENSION("{name}", {separator.init_of(name)})\n' for name in made.modules]
    return added, rows


def linked(parts: tuple[Part, ...] = PARTS) -> Path:
    """The folder of `guest.wasm` with these packages in it, unbaked. Raises `BuildError`."""
    core, objects, runtime = link.linked(), cpython.compiled(), exception_runtime()
    own = [(HERE / "inittab.c").read_bytes(), Path(symbols.__file__).read_bytes()]

    def work(folder: Path) -> None:
        environment = toolchain.environment(objects / "bin")
        first, rest = [*_core_objects(core), *sorted(runtime.glob("*.o"))], cpython.core_inputs(objects)
        with progress("give packages names of their own"):
            added, rows = _added(parts, fresh(folder), [*first, *rest])
        (folder / "extensions.inc").write_text("".join(rows))
        include = cpython.include_flags(objects, sources.unpacked("cpython"))
        table, list_of = folder / "inittab.o", f'-DEXTENSIONS="{folder / "extensions.inc"}"'
        frozen = [objects / "Modules/getpath.o", objects / "Python/frozen.o"]
        with progress("link the guest with its packages") as shown:
            argv: list[str | Path] = [objects / "bin/cc", *toolchain.CFLAGS, *include, list_of]
            argv += ["-c", HERE / "inittab.c", "-o", table]
            run(argv, folder / "log", cwd=folder, env=environment, shown=shown)
            everything = [*first, table, *added, *rest, *frozen]
            (folder / "objects.txt").write_text("\n".join(f'"{path}"' for path in everything))
            argv = [toolchain.zig(), "c++", "-target", toolchain.TARGET, "-O3", *link.LINK_FLAGS]
            argv += [f"@{folder / 'objects.txt'}", *toolchain.LIBS, "-o", folder / "guest.wasm"]
            run(argv, folder / "log", cwd=folder, env=environment, shown=shown)
        _check(folder)

    parts_key = [part.key() for part in parts]
    return step("link-data", digest_of(core.name, objects.name, runtime.name, *own, *parts_key), work)


def _check(folder: Path) -> None:
    """Raise `BuildError` about what the linker takes, and what would end the guest or have it ask for more."""
    target, said = folder / "guest.wasm", (folder / "log").read_text()
    # Two functions of one name: a call of the wrong one would end the guest.
    faults = [said[-2000:]] if "signature mismatch" in said else []
    # A name that nothing has becomes an import.
    faults += [f"nothing has {name}" for place, name in module_file.imports(target.read_bytes()) if place != "cloche"]
    if faults:
        target.unlink()
        raise BuildError(f"linking the packages: {'; '.join(faults)}")


def base(parts: tuple[Part, ...] = PARTS) -> Path:
    """The folder of an image that has the packages' modules linked in, and none of their files yet."""
    wasm, contents = linked(parts) / "guest.wasm", stdlib.everything()

    def work(folder: Path) -> None:
        with progress("bake the base of the data image"):
            image, caps = bake.bake(wasm, contents)
            host = stdlib.start(wasm, {**contents.packed, **contents.plain})
            stdlib.run(host, (HERE / "programs" / "bake.py").read_text())
            facts = pausing.facts(host)
        # The same eval loop, at other addresses: what a pause costs is the core's.
        said = pausing.measured() | {name: facts[name] for name in ("breaker", "state", "counts")}
        layout = {name: facts[name] for name in ("current", *pausing.LAYOUT)}
        manifest = bake.manifest(image, caps) | {"name": "data-base", "exceptions": True}
        manifest["pause"] = said | {"layout": layout}
        (folder / "cloche.wasm").write_bytes(image)
        (folder / "cloche.json").write_text(json.dumps(manifest, indent=2) + "\n")
        licences.write(folder / "licenses")

    return step("bake-data", digest_of(linked(parts).name, bake.baked().name), work)


def _files(part: Part, source: inputs.Input) -> Iterator[tuple[str, bytes]]:
    made = part.built()
    for name, path in made.files.items():
        yield name, path.read_bytes()
    if source.index is not None and made.files:
        # What tells programs that the package is installed.
        info = f"{source.name.replace('-', '_')}-{source.version}.dist-info"
        yield f"{info}/METADATA", (sources.unpacked(source.name) / "PKG-INFO").read_bytes()
        yield f"{info}/INSTALLER", b"cloche\n"


def _is_wanted(name: str) -> bool:
    locale = _LOCALE.match(name)
    return locale is None or locale[1] in LOCALES


def image(parts: tuple[Part, ...] = PARTS) -> Path:
    """The folder of the data image. Raises `BuildError`."""
    origin, pins, wheels = base(parts), inputs.load(inputs.DATA), inputs.load_wheels()
    notebook = [path.read_bytes() for path in sorted(NOTEBOOK.glob("*.py"))]
    warm: list[str | bytes] = [
        SETUP.read_bytes(),
        *notebook,
        *(pin.sha256 for pin in wheels.values()),
        *sorted(LOCALES),
    ]

    def work(folder: Path) -> None:
        files: dict[str, bytes] = {}
        facts: list[dict[str, str]] = []
        texts: dict[str, str] = {}
        for part in parts:
            files |= dict(_files(part, pins[part.name]))
        for name in (*(part.name for part in parts), *HEADERS):
            source = pins[name]
            index = {} if source.index is None else {"index": "python"}
            facts.append(licences.of(source).facts() | index | {"sha256": source.sha256})
            texts[name] = licences.of(source).text()
        for pin in wheels.values():
            wheel = read_wheel(fetch(pin))
            files |= {name: data for name, data in wheel.files.items() if _is_wanted(name)}
            facts.append(wheel.facts)
            texts[wheel.facts["name"]] = wheel.licence
        for path in NOTEBOOK.glob("*.py"):
            files[f"IPython/{path.name}"] = path.read_bytes()
        with progress("bake the data image", len(files)) as shown:
            place = fresh(folder / "image")
            setup = SETUP.read_text()
            Image.assemble(place, "data", Image(origin), files, IMPORTS, setup, LIMITS, facts, texts, print)
            shown.advance(len(files))

    return step("image-data", digest_of(origin.name, *warm, repr(LIMITS), repr(IMPORTS)), work) / "image"


def install(parts: tuple[Part, ...] = PARTS) -> Path:
    """Put the data image where the runtime looks for it. Returns its folder."""
    made, place = image(parts), bake.IMAGE / "data"
    wanted = hashlib.sha256((made / "cloche.json").read_bytes()).digest()
    there = place / "cloche.json"
    if not there.exists() or hashlib.sha256(there.read_bytes()).digest() != wanted:
        part = place.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(made, part)
        shutil.rmtree(place, ignore_errors=True)
        part.rename(place)
    return place
