"""Packages that are built with meson: it is configured for the guest, and ninja makes objects alone.

What their build systems look for on the machine is answered here: libraries, and other packages' headers and
declarations. None of it is of this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from recipe import inputs, sources, toolchain
from recipe.data import packages
from recipe.data.packages import EXCEPTIONS, FLAGS, Built, copy, headers, tools
from recipe.progress import progress, run
from recipe.workspace import BuildError, digest_files, digest_of, step

CONFIGURE_LINES = 400  # for the progress line only
CROSS = """\
[binaries]
c = '{bin}/cc'
cpp = '{bin}/c++'
ar = '{bin}/ar'
cython = '{bin}/cython'
python = '{python}'
pkg-config = '{bin}/pkg-config'

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

# What the packages ask pkg-config for; it knows nothing else. The libraries are linked with the whole guest.
PKG_CONFIG = """\
#!/bin/sh
what=version
for a; do case "$a" in
  --version) echo 1.8.1; exit 0 ;;
  --modversion|--cflags|--libs) what="$a" ;;
  -*) what=other ;;
  *) name="$a" ;;
esac; done
case "$name$what" in
{answers}
  *) exit 1 ;;
esac
"""
# What other packages' build systems find in place of a package that they are compiled with.
DECLARATIONS = inputs.BUILD / "recipe" / "programs" / "declarations.py"
CYTHON = '#!/bin/sh\nexec "{python}" -m cython "$@"\n'


@dataclass(frozen=True)
class Project:
    """A package that is built with meson.

    ``options`` configure it. ``left_out`` are parts of paths: of extension modules that the image has no use for, and
    of objects that another module has as well, which a module that is linked statically must not have twice. ``needs``
    are projects whose headers and declarations it is compiled with. ``finds`` are inputs that its build looks for, with
    the folder of their headers, if it is compiled with these.
    """

    name: str
    options: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    finds: tuple[tuple[str, str], ...] = ()

    def key(self) -> str:
        """What its objects depend on. The projects that it needs are compiled for it."""
        source = inputs.load(inputs.DATA)[self.name]
        own = (sources.key_of(source), repr(self), toolchain.identity(), packages.COMPILER, CROSS, PKG_CONFIG)
        flags = (*FLAGS, *EXCEPTIONS, *packages.TOOLS)
        needed = [_declarations(PROJECTS[name]) for name in self.needs]
        seen = [
            digest_files([p for p in folder.rglob("*.*") if p.is_file() and p.suffix != ".pyc"], folder)
            for folder in needed
        ]
        return digest_of(*own, *flags, headers().name, *seen)

    def folder(self) -> Path:
        """The folder of its objects, modules and files, compiled unless it is there. Raises `BuildError`."""
        return step(f"extension-{self.name}", self.key(), lambda folder: _build(self, folder))

    def built(self) -> Built:
        """What it is for the guest. Raises `BuildError`."""
        return Built.read(self.folder())


NUMPY = Project(
    "numpy",
    (
        *("-Dblas=blis", "-Dlapack=none", "-Ddisable-optimization=true"),
        *("-Ddisable-threading=true", "-Ddisable-highway=true", "-Ddisable-svml=true", "-Ddisable-intel-sort=true"),
    ),
    left_out=(
        "_tests.",
        "_simd.",
        "lib_simd",
        # lapack_lite has them too.
        "linalg/_umath_linalg.*/lapack_lite_",
        "_core/_multiarray_umath.*/src_common_python_xerbla",
        # The library npyrandom has it too, and with integers of 64 bits in both they do not differ.
        "random/mtrand.*/src_distributions_distributions",
    ),
    finds=(("blis", ""),),
)
PANDAS = Project(
    "pandas",
    # The tokenizer's io.c is in two modules.
    left_out=("parsers.*/parser_io", "parsers.*src_parser_io"),
    needs=("numpy",),
)
PROJECTS = {project.name: project for project in (NUMPY, PANDAS)}


def _declarations(project: Project) -> Path:
    return project.folder() / "declarations"


def pkg_config(project: Project) -> str:
    """The program that answers what a project's build asks pkg-config."""
    pins, answers = inputs.load(inputs.DATA), list[str]()
    for name, include in project.finds:
        flags = f"-I{sources.unpacked(name) / include}" if include else ""
        answers.append(f"  {name}--modversion) echo {pins[name].version} ;;")
        answers.append(f"  {name}--cflags) echo '{flags}' ;;\n  {name}*) echo ;;")
    return PKG_CONFIG.format(answers="\n".join(answers))


def _write_tools(folder: Path, project: Project) -> None:
    """Write what meson and ninja call into a folder, and the file that tells meson of it."""
    packages.write_compilers(folder)
    python = sys.executable
    scripts = {"cython": CYTHON.format(python=python), "pkg-config": pkg_config(project)}
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "cross.ini").write_text(CROSS.format(bin=folder, python=python))


def _modules_for(project: Project, folder: Path) -> Path:
    """A folder with the declarations of what a project needs: Python leaves files beside those it reads."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in project.needs:
        shutil.copytree(_declarations(PROJECTS[name]), folder, dirs_exist_ok=True)
    return folder


def _environment(folder: Path, project: Project) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME") if name in os.environ}
    places = [str(tools()), str(_modules_for(project, folder / "python"))]
    path = os.pathsep.join([str(folder / "bin"), str(tools() / "bin"), os.environ.get("PATH", "")])
    return kept | {"PATH": path, "PYTHONPATH": os.pathsep.join(places), "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}


def _build(project: Project, folder: Path) -> None:
    work, tree = folder / "work", sources.unpacked(project.name)
    environment = _environment(folder, project)
    _write_tools(folder / "bin", project)
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
    shutil.rmtree(folder / "python", ignore_errors=True)


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
