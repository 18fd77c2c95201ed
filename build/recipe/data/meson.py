"""Packages that are built with meson, compiled for the guest: they are configured, and only objects are made.

What a package's objects depend on is its source, the compiler, and CPython's headers as its extensions see them: a
change of CPython's own C compiles no package anew. A step that fails leaves its build folder, and is resumed there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from recipe import cpython, inputs, sources, toolchain
from recipe.progress import progress, run
from recipe.workspace import BuildError, cache_root, digest_files, digest_of, fresh, step

# What the packages' build systems need, as the package index has it. None of it gets into the image.
TOOLS = ("cython==3.3.1", "ninja==1.13.2", "versioneer==0.29")
CONFIGURE_LINES = 400  # for the progress line only
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
CROSS = """\
[binaries]
c = '{bin}/cc'
cpp = '{bin}/c++'
ar = '{bin}/ar'
cython = '{bin}/cython'
python = '{python}'

[properties]
longdouble_format = 'IEEE_QUAD_LE'
needs_exe_wrapper = true
skip_sanity_check = true

[host_machine]
system = 'wasi'
cpu_family = 'wasm32'
cpu = 'wasm32'
endian = 'little'
"""
# What other packages' build systems find in place of a package that they are compiled with.
DECLARATIONS = inputs.BUILD / "recipe" / "programs" / "declarations.py"
CYTHON = '#!/bin/sh\nexec "{python}" -m cython "$@"\n'


@dataclass(frozen=True)
class Project:
    """A package that is built with meson.

    ``options`` configure it. ``left_out`` are parts of paths: of extension modules that the image has no use for, and
    of objects that another module has as well, which a module that is linked statically must not have twice. ``needs``
    are projects whose headers and declarations it is compiled with.
    """

    name: str
    options: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


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


NUMPY = Project(
    "numpy",
    (
        *("-Dblas=none", "-Dlapack=none", "-Dallow-noblas=true", "-Ddisable-optimization=true"),
        *("-Ddisable-threading=true", "-Ddisable-highway=true", "-Ddisable-svml=true", "-Ddisable-intel-sort=true"),
    ),
    left_out=(
        "_tests.",
        "_simd.",
        "lib_simd",
        # lapack_lite has them too.
        "linalg/_umath_linalg.*/lapack_lite_",
        # The library npyrandom has it too, and with integers of 64 bits in both they do not differ.
        "random/mtrand.*/src_distributions_distributions",
    ),
)
PANDAS = Project(
    "pandas",
    # The tokenizer's io.c is in two modules.
    left_out=("parsers.*/parser_io", "parsers.*src_parser_io"),
    needs=("numpy",),
)
PROJECTS = {project.name: project for project in (NUMPY, PANDAS)}


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
    """Write `cc`, `c++`, `ar` and `cython` for the guest into a folder, and what meson is told of them."""
    folder.mkdir(parents=True, exist_ok=True)
    common = {"zig": toolchain.zig(), "target": toolchain.TARGET, "cache": cache_root(), "headers": headers()}
    cc = COMPILER.format(tool="cc", flags=_quoted(FLAGS), **common)
    cxx = COMPILER.format(tool="c++", flags=_quoted((*FLAGS, *EXCEPTIONS)), **common)
    scripts = {
        "cc": cc.replace("-O3 -g0", "-g0"),
        "c++": cxx.replace("-O3 -g0", "-g0"),
        "ar": toolchain.TOOL.format(zig=toolchain.zig(), tool="ar"),
        "cython": CYTHON.format(python=sys.executable),
    }
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "cross.ini").write_text(CROSS.format(bin=folder, python=sys.executable))


def _quoted(flags: tuple[str, ...]) -> str:
    return " ".join(flags)


def _environment(folder: Path, project: Project) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME") if name in os.environ}
    places = [str(tools()), *(str(built_folder(PROJECTS[name]) / "declarations") for name in project.needs)]
    path = os.pathsep.join([str(folder / "bin"), str(tools() / "bin"), os.environ.get("PATH", "")])
    return kept | {"PATH": path, "PYTHONPATH": os.pathsep.join(places), "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}


def key_of(project: Project) -> str:
    """What a package's objects depend on."""
    source = inputs.load(inputs.DATA)[project.name]
    own = (sources.key_of(source), repr(project), toolchain.identity(), COMPILER, CROSS, *FLAGS, *EXCEPTIONS, *TOOLS)
    return digest_of(*own, headers().name, *(key_of(PROJECTS[name]) for name in project.needs))


def built_folder(project: Project) -> Path:
    """The folder of a package's objects, modules and files. Raises `BuildError`."""
    return step(f"extension-{project.name}", key_of(project), lambda folder: _build(project, folder))


def built(project: Project) -> Built:
    """A package for the guest, compiled unless it is there. Raises `BuildError`."""
    return Built.read(built_folder(project))


def _build(project: Project, folder: Path) -> None:
    work, tree = folder / "work", sources.unpacked(project.name)
    environment = _environment(folder, project)
    write_compilers(folder / "bin")
    if not (work / "build.ninja").exists():
        shutil.rmtree(work, ignore_errors=True)
        meson = sources.unpacked("numpy") / "vendored-meson/meson/meson.py"
        options = ("--cross-file", str(folder / "bin/cross.ini"), "--buildtype=plain", *project.options)
        with progress(f"configure {project.name}", CONFIGURE_LINES) as shown:
            argv: list[str | Path] = [sys.executable, meson, "setup", work, tree, *options]
            run(argv, folder / "log", cwd=folder, env=environment, shown=shown)
    wanted = list(_objects(project, work, environment))
    generated = [str(Path(place).relative_to(work)) for place in _installed(work) if _is_missing(place, work)]
    with progress(f"compile {project.name} ({os.cpu_count()} jobs)", len(wanted)) as shown:
        argv = ["ninja", f"-j{os.cpu_count()}", "-k0", *wanted, *generated]
        run(argv, folder / "log", cwd=work, env=environment, shown=shown)
    _keep(project, folder, wanted)
    shutil.rmtree(work)


def _ask(work: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(["ninja", *arguments], cwd=work, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"ninja {' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _objects(project: Project, work: Path, environment: dict[str, str]) -> Iterator[str]:
    """The object files of the package's own modules, and of the libraries that these are made of."""
    for line in _ask(work, environment, "-t", "targets", "all").splitlines():
        target = line.rpartition(": ")[0]
        if target.endswith((".o", ".obj")) and not _is_left_out(project, target):
            yield target


def _is_left_out(project: Project, target: str) -> bool:
    for part in project.left_out:
        first, _, second = part.partition("*")
        if first in target and second in target:
            return True
    return False


def _installed(work: Path) -> dict[str, str]:
    """Where each file of the package comes from, and where it would be installed, below site-packages."""
    plan = json.loads((work / "meson-info/intro-installed.json").read_text())
    return {origin: to.partition("/site-packages/")[2] for origin, to in _files_of(plan) if "/site-packages/" in to}


def _files_of(plan: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is installed, file by file: some folders are installed whole."""
    for origin, to in plan.items():
        if Path(origin).is_dir():
            yield from ((str(p), f"{to}/{p.relative_to(origin)}") for p in Path(origin).rglob("*") if p.is_file())
        else:
            yield origin, to


def _is_missing(origin: str, work: Path) -> bool:
    """Whether a file is one that the build has still to make, beside the objects."""
    path = Path(origin)
    return path.is_relative_to(work) and path.suffix in (".py", ".h", ".pxd") and not path.exists()


def _keep(project: Project, folder: Path, wanted: list[str]) -> None:
    work, installed = folder / "work", _installed(folder / "work")
    objects = {target.replace("/", "+"): work / target for target in wanted}
    for name, made in objects.items():
        copy(made, folder / "objects" / name)
    files: list[str] = []
    modules: list[str] = []
    for origin, to in sorted(installed.items(), key=lambda item: item[1]):
        if to.endswith(".so"):
            if not _is_left_out(project, to):
                modules.append(to.partition(".")[0].replace("/", "."))
        # Some folders are installed only where an older Python is.
        elif Path(origin).exists() and not {"tests", "f2py", "_pyinstaller", "conftest.py"} & set(Path(to).parts):
            kind = "declarations" if to.endswith((".h", ".pxd")) else "files"
            if kind == "declarations" or not to.endswith((".pyi", ".pyx", ".c", ".a", ".in", ".build")):
                copy(Path(origin), folder / kind / to)
                files += [to] if kind == "files" else []
            if to.endswith("__init__.py"):
                # Cython looks for declarations in packages only.
                copy(DECLARATIONS, folder / "declarations" / to)
    facts = {"objects": sorted(objects), "modules": modules, "files": files}
    (folder / "built.json").write_text(json.dumps(facts, indent=1))


def copy(origin: Path, target: Path) -> None:
    """Copy a file, making its folder if needed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(origin, target)
