"""Packages that are compiled file by file: matplotlib with what it draws by, Pillow, and a few small ones.

Their build systems look for libraries of the machine or download them, and none of them asks for objects alone. What is
compiled of each, with which flags, is written down here. Of some nothing is compiled: they have the same in Python.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from recipe import inputs, sources, toolchain
from recipe.data.meson import COMPILER, EXCEPTIONS, FLAGS, Built, copy, headers, write_compilers
from recipe.progress import Progress, progress, run
from recipe.workspace import BuildError, digest_of, step

NO_THREADS = inputs.BUILD / "recipe" / "nothreads.h"
# setjmp and longjmp, which C libraries leave with when something is wrong, by the same means as C++'s exceptions.
JUMPS = ("-mllvm", "-wasm-enable-sjlj")
JUMPS_IN_C = ("-mexception-handling", "-mllvm", "-wasm-use-legacy-eh=false", *JUMPS)


@dataclass(frozen=True)
class Unit:
    """Files that are compiled alike: patterns below the tree, and flags in which ``{name}`` is the tree of an input."""

    patterns: tuple[str, ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Package:
    """A package that is compiled file by file.

    ``modules`` are the extension modules that it has, ``python`` the folders below its tree whose contents are placed
    where packages lie, ``suffixes`` the ends of file names that are placed. ``left_out`` are parts of paths: of objects
    and of files that the image has no use for. ``uses`` are inputs whose headers it is compiled with.
    """

    name: str
    units: tuple[Unit, ...] = ()
    modules: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = (".py",)
    uses: tuple[str, ...] = ()


def _each(folder: str, names: str, suffix: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}{suffix}" for name in names.split())


_CXX = ("-std=c++17", "-include", str(NO_THREADS.name), "-I{pybind11}/pybind11/include")
FREETYPE = Package(
    "freetype",
    (
        Unit(
            _each(
                "src",
                "base/ftsystem base/ftinit base/ftdebug base/ftbase base/ftbbox base/ftglyph base/ftbitmap base/ftmm "
                "base/ftstroke base/ftsynth base/fttype1 base/ftwinfnt base/ftbdf base/ftcid base/ftfstype base/ftgasp "
                "base/ftpatent base/ftgxval base/ftotval base/ftpfr autofit/autofit bdf/bdf cff/cff cid/type1cid "
                "gzip/ftgzip lzw/ftlzw pcf/pcf pfr/pfr psaux/psaux pshinter/pshinter psnames/psnames raster/raster "
                "sdf/sdf sfnt/sfnt smooth/smooth svg/svg truetype/truetype type1/type1 type42/type42 winfonts/winfnt",
                ".c",
            ),
            ("-DFT2_BUILD_LIBRARY", "-I{freetype}/include"),
        ),
    ),
)
QHULL = Package("qhull", (Unit(("src/libqhull_r/*.c",), ("-I{qhull}/src",)),))
MATPLOTLIB = Package(
    "matplotlib",
    (
        Unit(
            (
                *_each("src", "_backend_agg _backend_agg_wrapper _c_internal_utils ft2font ft2font_wrapper", ".cpp"),
                *_each("src", "_image_wrapper py_converters _path_wrapper _qhull_wrapper", ".cpp"),
                *_each("src/tri", "_tri _tri_wrapper", ".cpp"),
                *_each("extern/agg24-svn/src", "agg_bezier_arc agg_curves agg_image_filters", ".cpp"),
                *_each("extern/agg24-svn/src", "agg_trans_affine agg_vcgen_contour agg_vcgen_dash", ".cpp"),
                *_each("extern/agg24-svn/src", "agg_vcgen_stroke agg_vpgen_segmentator", ".cpp"),
            ),
            (
                *(*_CXX, "-Wno-c++11-narrowing", "-I{matplotlib}/extern/agg24-svn/include", "-I{matplotlib}/src"),
                *("-I{freetype}/include", "-I{qhull}/src", '-DFREETYPE_BUILD_TYPE="local"', "-DMPL_DEVNULL=/dev/null"),
            ),
        ),
    ),
    modules=(
        *("matplotlib.backends._backend_agg", "matplotlib._c_internal_utils", "matplotlib.ft2font"),
        *("matplotlib._image", "matplotlib._path", "matplotlib._qhull", "matplotlib._tri"),
    ),
    python=("lib",),
    # What windows and PostScript need.
    left_out=("/tests/", "/sphinxext/", "mpl-data/images/", "mpl-data/sample_data/", "fonts/afm/", "/plot_directive/"),
    suffixes=(".py", ".ttf", ".afm", ".mplstyle", "matplotlibrc", "LICENSE_DEJAVU", "LICENSE_STIX"),
    uses=("pybind11", "freetype", "qhull"),
)
CONTOURPY = Package(
    "contourpy",
    (
        Unit(
            ("src/*.cpp",),
            (
                *(*_CXX, "-DCONTOURPY_VERSION=1.4.0", "-DCONTOURPY_DEBUG=0", "-DCONTOURPY_CXX11=0"),
                "-DCONTOURPY_NDEBUG=1",
            ),
        ),
    ),
    modules=("contourpy._contourpy",),
    python=("lib",),
    uses=("pybind11",),
)
KIWISOLVER = Package(
    "kiwisolver",
    (
        Unit(
            ("py/src/*.cpp",),
            ("-std=c++20", "-include", NO_THREADS.name, "-I{cppy}/cppy/include", "-I{kiwisolver}"),
        ),
    ),
    modules=("kiwisolver._cext",),
    python=("py",),
    left_out=("/tests/",),
    uses=("cppy",),
)
_PILLOW = ("-DHAVE_LIBZ", '-DPILLOW_VERSION="13.0.0"', "-I{zlib}", "-I{pillow}/src", "-I{pillow}/src/libImaging")
PILLOW = Package(
    "pillow",
    (
        Unit(_each("src", "_imaging decode encode map display outline path _imagingmath _imagingmorph", ".c"), _PILLOW),
        Unit(("src/_imagingft.c",), (*_PILLOW, "-I{freetype}/include")),
        Unit(("src/libImaging/*.c",), _PILLOW),
    ),
    modules=("PIL._imaging", "PIL._imagingmath", "PIL._imagingmorph", "PIL._imagingft"),
    python=("src",),
    # Windows' own images; and windows on the screen.
    left_out=("libImaging/Dib.c", "ImageTk", "ImageQt", "_tkinter_finder"),
    uses=("zlib", "freetype"),
)
REGEX = Package("regex", (Unit(("src/*.c",)),), ("regex._regex",), (".",), ("/tests/", "setup.py", "/tools/"))
MARKUPSAFE = Package("markupsafe", python=("src",))
PYYAML = Package("pyyaml", python=("lib",), left_out=("/_yaml/",))
PACKAGES = (FREETYPE, QHULL, MATPLOTLIB, CONTOURPY, KIWISOLVER, PILLOW, REGEX, MARKUPSAFE, PYYAML)


def key_of(package: Package) -> str:
    """What a package's objects depend on."""
    pins = inputs.load() | inputs.load(inputs.DATA)
    used = [sources.key_of(pins[name]) for name in (package.name, *package.uses)]
    own = (repr(package), toolchain.identity(), COMPILER, *FLAGS, *EXCEPTIONS, *JUMPS_IN_C, NO_THREADS.read_bytes())
    return digest_of(headers().name, *used, *own)


def built_folder(package: Package) -> Path:
    """The folder of a package's objects, modules and files. Raises `BuildError`."""
    return step(f"extension-{package.name}", key_of(package), lambda folder: _build(package, folder))


def built(package: Package) -> Built:
    """A package for the guest, compiled unless it is there. Raises `BuildError`."""
    return Built.read(built_folder(package))


def _is_left_out(package: Package, name: str) -> bool:
    return any(part in name for part in package.left_out)


def _build(package: Package, folder: Path) -> None:
    write_compilers(folder / "bin")
    trees = {name: sources.unpacked(name) for name in (package.name, *package.uses)}
    tree, jobs = trees[package.name], list[tuple[Path, list[str]]]()
    for unit in package.units:
        flags = [str(NO_THREADS) if flag == NO_THREADS.name else flag.format(**trees) for flag in unit.flags]
        found = sorted(path for pattern in unit.patterns for path in tree.glob(pattern))
        if not found:
            raise BuildError(f"{package.name} has no {', '.join(unit.patterns)}")
        jobs += [(path, flags) for path in found if not _is_left_out(package, str(path.relative_to(tree)))]
    (folder / "objects").mkdir(exist_ok=True)
    objects = list[str]()
    with progress(f"compile {package.name}", len(jobs)) as shown, ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in [pool.submit(_compile, source, flags, tree, folder, shown) for source, flags in jobs]:
            objects.append(done.result())
    files = _place_files(package, tree, folder)
    facts = {"objects": sorted(objects), "modules": package.modules, "files": sorted(files)}
    (folder / "built.json").write_text(json.dumps(facts, indent=1))


def _compile(source: Path, flags: list[str], tree: Path, folder: Path, shown: Progress) -> str:
    """Compile one file unless an earlier try got that far. Returns the object's name."""
    name = str(source.relative_to(tree)).replace("/", "+") + ".o"
    target, part = folder / "objects" / name, folder / "objects" / f"{name}.part"
    if not target.exists():
        tool, own = ("cc", JUMPS_IN_C) if source.suffix == ".c" else ("c++", JUMPS)
        argv: list[str | Path] = [folder / "bin" / tool, *own, *flags, "-c", source, "-o", part]
        run(argv, folder / f"{name}.log", cwd=folder, env=toolchain.environment(folder / "bin"), shown=shown)
        part.rename(target)
    shown.advance()
    return name


def _place_files(package: Package, tree: Path, folder: Path) -> list[str]:
    files: list[str] = []
    for place in package.python:
        for path in sorted((tree / place).rglob("*")):
            name = path.relative_to(tree / place).as_posix()
            if path.is_file() and name.endswith(package.suffixes) and not _is_left_out(package, f"/{name}"):
                copy(path, folder / "files" / name)
                files.append(name)
    return files
