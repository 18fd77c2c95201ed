"""Packages with C in them that are compiled for the guest file by file, and what all packages are compiled with.

Their build systems look for libraries of the machine or download them: what is compiled of each, with which flags, is
written down here. Of some nothing is: they have the same in Python. Those that are built with meson are `projects`.

What a package's objects depend on is its source, the compiler, and CPython's headers as its extensions see them: a
change of CPython's own C compiles no package anew. A step that fails leaves its build folder, and is resumed there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from recipe import cpython, inputs, sources, toolchain
from recipe.progress import Progress, progress, run
from recipe.workspace import BuildError, cache_root, digest_files, digest_of, fresh, step

# What the packages' build systems need, as the package index has it. None of it gets into the image.
TOOLS = ("cython==3.3.1", "ninja==1.13.2", "versioneer==0.29")
# Exceptions by the proposal that is final: the default of zig's clang is an older kind.
EXCEPTIONS = ("-fwasm-exceptions", "-mexception-handling", "-mllvm", "-wasm-use-legacy-eh=false")
FLAGS = (
    *("-DNDEBUG", "-O3", "-g0", "-msimd128", "-w"),
    *("-D_WASI_EMULATED_SIGNAL", "-D_WASI_EMULATED_PROCESS_CLOCKS", "-D_WASI_EMULATED_GETPID"),
)

# Flags of shared libraries are dropped, and the headers of the Python that runs meson: the guest's come first.
COMPILER = """\
#!/bin/sh
optimise=-O3
for a; do shift; case "$a" in
  -Wl,--version) echo "LLD 22 (compatible with GNU linkers)"; exit 0 ;;
  -pthread|-fPIC|-shared|-Wl,*|-fno-exceptions|-fexceptions|-I*/include/python3*) ;;
  -E|-dM|--version) optimise=; set -- "$@" "$a" ;;
  *) set -- "$@" "$a" ;;
esac; done
set -- "-ffile-prefix-map={cache}=/build" "-I{headers}" "-I{headers}/internal" "$@"
exec "{zig}" {tool} -target {target} {flags} $optimise "$@"
"""


@dataclass(frozen=True)
class Built:
    """A package for the guest: objects, extension modules by dotted name, and Python files by their installed path."""

    objects: tuple[Path, ...]
    modules: tuple[str, ...]
    files: dict[str, Path]

    @classmethod
    def read(cls, folder: Path) -> Built:
        """What a step left in its folder."""
        facts = json.loads((folder / "built.json").read_text())
        objects = tuple(folder / "objects" / name for name in facts["objects"])
        return cls(objects, tuple(facts["modules"]), {path: folder / "files" / path for path in facts["files"]})


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

    def key(self) -> str:
        """What its objects depend on."""
        pins = inputs.load() | inputs.load(inputs.DATA)
        used = [sources.key_of(pins[name]) for name in (self.name, *self.uses)]
        own = (repr(self), toolchain.identity(), COMPILER, *FLAGS, *EXCEPTIONS, *JUMPS_IN_C, NO_THREADS.read_bytes())
        return digest_of(headers().name, *used, *own)

    def folder(self) -> Path:
        """The folder of its objects and files, compiled unless it is there. Raises `BuildError`."""
        return step(f"extension-{self.name}", self.key(), lambda folder: _compile_package(self, folder))

    def built(self) -> Built:
        """What it is for the guest. Raises `BuildError`."""
        return Built.read(self.folder())


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
_BLIS = "blis/_src"
_CBLAS = f"{_BLIS}/frame/compat/cblas"
_BLIS_FLAGS = (
    *(
        "-std=gnu11",
        '-DBLIS_VERSION_STRING="0.7.0"',
        "-DBLIS_IS_BUILDING_LIBRARY",
        "-DBLIS_ENABLE_CBLAS",
        "-D__linux__",
    ),
    # Called with hidden lengths, which LAPACK's functions of these names have not.
    *("-Dlsame_=blis_lsame_", "-Dxerbla_=blis_xerbla_"),
    *("-I{blis}/blis/_src/include/linux-generic", "-I{blis}/blis/_src/frame/compat/cblas/src"),
    *(f"-I{{blis}}/blis/_src/frame/{name}" for name in ("3", "ind/ukernels", "1m", "1f", "1", "include")),
)
BLIS = Package(
    "blis",
    (
        Unit(
            (
                *(f"{_BLIS}/frame/{name}/**/*.c" for name in ("[0-3]*", "base", "ind", "thread", "util")),
                # What has a place in both of its interfaces: the rest of BLAS has Fortran's own.
                *(
                    f"{_BLIS}/frame/compat/{name}.c"
                    for name in ("bla_*", "f2c/bla_lsame", "f2c/bla_xerbla", "f2c/util/*")
                ),
                *_each(f"{_CBLAS}/src", "cblas_xerbla cblas_globals", ".c"),
                *_each(f"{_CBLAS}/src", "cblas_[sdcz]gemm cblas_[sdcz]gemv cblas_[sdcz]syrk cblas_[sdcz]axpy", ".c"),
                *_each(f"{_CBLAS}/src", "cblas_[sd]dot cblas_[cz]dot?_sub", ".c"),
                f"{_CBLAS}/f77_sub/f77_dot_sub.c",
            ),
            _BLIS_FLAGS,
        ),
        Unit(
            (f"{_BLIS}/config/generic/*.c", f"{_BLIS}/ref_kernels/**/*.c"),
            (
                *_BLIS_FLAGS,
                "-DBLIS_CNAME=generic",
                "-funsafe-math-optimizations",
                "-ffp-contract=fast",
                "-fopenmp-simd",
            ),
        ),
    ),
    left_out=("/attic/", "/old/", "/other/"),
)
MARKUPSAFE = Package("markupsafe", python=("src",))
PYYAML = Package("pyyaml", python=("lib",), left_out=("/_yaml/",))
PACKAGES = (FREETYPE, QHULL, MATPLOTLIB, CONTOURPY, KIWISOLVER, PILLOW, REGEX, MARKUPSAFE, PYYAML)


def headers() -> Path:
    """CPython's headers as an extension module sees them, with the guest's configuration among them."""
    tree, configured = sources.unpacked("cpython") / "Include", cpython.configured()
    files = [path for path in tree.rglob("*.h") if path.relative_to(tree).parts[0] != "internal"]
    # What Cython's modules look into, and no more: other internals change without a module being compiled anew.
    files += _included(tree / "internal", "pycore_frame.h")
    config = (configured / "pyconfig.h").read_bytes()

    def work(folder: Path) -> None:
        fresh(folder)
        for path in files:
            target = folder / path.relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        (folder / "pyconfig.h").write_bytes(config)

    return step("headers", digest_of(digest_files(files, tree), config), work)


def _included(folder: Path, name: str) -> list[Path]:
    """A header and those that it includes from the same folder."""
    found, left = dict[str, Path](), [name]
    while left:
        name = left.pop()
        path = folder / name
        if name not in found and path.exists():
            found[name] = path
            left += re.findall(r'^\s*#\s*include\s+"(?:internal/)?(\w+\.h)"', path.read_text(), re.M)
    return sorted(found.values())


def tools() -> Path:
    """A folder with the modules that the packages' build systems need."""

    def work(folder: Path) -> None:
        options = ("-m", "pip", "install", "-q", "--no-deps", "--target", fresh(folder))
        command: list[str | Path] = [sys.executable, *options, *TOOLS]
        with progress("install the packages' build tools") as shown:
            run(command, folder / "log", cwd=folder, env=dict(os.environ), shown=shown)

    return step("build-tools", digest_of(*TOOLS, sys.version), work)


def write_compilers(folder: Path) -> None:
    """Write `cc`, `c++` and `ar` for the guest into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    common = {"zig": toolchain.zig(), "target": toolchain.TARGET, "cache": cache_root(), "headers": headers()}
    cc = COMPILER.format(tool="cc", flags=_quoted(FLAGS), **common)
    cxx = COMPILER.format(tool="c++", flags=_quoted((*FLAGS, *EXCEPTIONS)), **common)
    scripts = {
        "cc": cc.replace("-O3 -g0", "-g0"),
        "c++": cxx.replace("-O3 -g0", "-g0"),
        "ar": toolchain.TOOL.format(zig=toolchain.zig(), tool="ar"),
    }
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def _quoted(flags: tuple[str, ...]) -> str:
    return " ".join(flags)


def copy(origin: Path, target: Path) -> None:
    """Copy a file, making its folder if needed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(origin, target)


def _lacks(package: Package, name: str) -> bool:
    return any(part in name for part in package.left_out)


def _compile_package(package: Package, folder: Path) -> None:
    write_compilers(folder / "bin")
    trees = {name: sources.unpacked(name) for name in (package.name, *package.uses)}
    tree, jobs = trees[package.name], list[tuple[Path, list[str]]]()
    for unit in package.units:
        flags = [str(NO_THREADS) if flag == NO_THREADS.name else flag.format(**trees) for flag in unit.flags]
        found = sorted(path for pattern in unit.patterns for path in tree.glob(pattern))
        if not found:
            raise BuildError(f"{package.name} has no {', '.join(unit.patterns)}")
        jobs += [(path, flags) for path in found if not _lacks(package, str(path.relative_to(tree)))]
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
            if path.is_file() and name.endswith(package.suffixes) and not _lacks(package, f"/{name}"):
                copy(path, folder / "files" / name)
                files.append(name)
    return files
