"""`configure` and `compile`: CPython's objects for wasm, the bootstrap modules frozen by the guest itself."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

from recipe import sources, toolchain
from recipe.inputs import load
from recipe.progress import progress, run
from recipe.stagehost import StageHost
from recipe.workspace import digest_of, fresh, step

HERE = Path(__file__).parent
GUEST_C = HERE.parents[1] / "guest" / "c"
ARGUMENTS = (
    "--host=wasm32-wasip1",
    "--disable-test-modules",
    "--with-ensurepip=no",
    "--with-pymalloc",
    # Not found when cross-compiling, as the test for it has to run.
    "--with-computed-gotos",
)
WORLD = ("errors", "memfs", "posix", "tree", "wasi")  # the C files that stand in for WASI
PROFILE = HERE.parent / "profile" / "cpython.profdata.xz"
# Without folders in the names of static functions: those of the profile come from another folder.
NAMES_FLAGS = "-mllvm -static-func-full-module-prefix=false"
# Functions that have changed since the profile was made are compiled without it, and that is all.
PROFILE_FLAGS = (
    "-Xclang -fprofile-instrument-use=llvm -Xclang -fprofile-instrument-use-path={path}",
    NAMES_FLAGS,
    "-Wno-profile-instr-unprofiled -Wno-profile-instr-out-of-date -Wno-backend-plugin",
)
CONFIGURE_LINES, COMPILE_LINES = 900, 560  # for the progress line only
FREEZE = re.compile(r"^\t\$\(FREEZE_MODULE\w*\) (\S+) \$\(srcdir\)/(\S+) (Python/frozen_modules/\S+\.h)", re.M)


def configure_key() -> str:
    """What the configured tree depends on."""
    site = (HERE / "config.site").read_bytes()
    return digest_of(sources.key_of(load()["cpython"]), toolchain.identity(), site, *ARGUMENTS)


def _build_triplet(tree: Path) -> str:
    guess = subprocess.run(["sh", tree / "config.guess"], stdout=subprocess.PIPE, text=True, check=False)
    return guess.stdout.strip() or "x86_64-pc-linux-gnu"


def configured() -> Path:
    """A configured build folder. Raises `BuildError`."""
    tree = sources.unpacked("cpython")

    def work(folder: Path) -> None:
        tools = toolchain.install(fresh(folder) / "bin")
        site = (tree / "Tools/wasm/config.site-wasm32-wasi").read_text() + (HERE / "config.site").read_text()
        (folder / "config.site").write_text(site)
        built = [f"--build={_build_triplet(tree)}", f"--with-build-python={tools / 'build-python'}"]
        environment = toolchain.environment(tools) | {
            "CONFIG_SITE": str(folder / "config.site"),
            "OPT": " ".join(toolchain.CFLAGS),
        }
        with progress("configure CPython", CONFIGURE_LINES) as shown:
            argv: list[str | Path] = ["sh", tree / "configure", *ARGUMENTS, *built]
            run(argv, folder / "log", cwd=folder, env=environment, shown=shown)

    return step("configure", configure_key(), work)


def compile_key() -> str:
    """What the compiled objects depend on: not on the world that the freezer is linked with, as it opens no file."""
    own = [(HERE / name).read_bytes() for name in ("freezer.c", "objects.mk")]
    return digest_of(configure_key(), PROFILE.read_bytes(), *PROFILE_FLAGS, *own)


def include_flags(objects: Path, tree: Path) -> list[str]:
    """Where C files of the guest find Python.h, the configuration and each other."""
    return [f"-I{GUEST_C}", f"-I{tree}/Include", f"-I{tree}/Include/internal", f"-I{objects}"]


def core_inputs(objects: Path) -> list[Path]:
    """CPython's objects and archives, without what holds frozen modules."""
    names = [name for kind in ("core", "archives") for name in (objects / f"{kind}.list").read_text().split()]
    return [objects / name for name in names]


def compiled() -> Path:
    """A build folder with all of CPython's objects. Raises `BuildError`."""
    tree, origin = sources.unpacked("cpython"), configured()

    def work(folder: Path) -> None:
        shutil.rmtree(folder)
        shutil.copytree(origin, folder, symlinks=True)
        (folder / ".done").unlink()
        (folder / "cpython.profdata").write_bytes(lzma.decompress(PROFILE.read_bytes()))
        profile = " ".join(PROFILE_FLAGS).format(path=folder / "cpython.profdata")
        make(folder, "cloche-core", f"compile CPython ({os.cpu_count()} jobs)", COMPILE_LINES, profile)
        freezer = _link_freezer(folder, tree)
        _freeze(folder, tree, freezer)
        make(folder, "cloche-frozen", "compile frozen modules", None, profile)

    return step("compile", compile_key(), work)


def make(folder: Path, target: str, label: str, lines: int | None, profile: str) -> None:
    """Make a target of `objects.mk`, with these flags for the profile. Raises `BuildError`."""
    toolchain.check_make()
    makefiles = ["-f", "Makefile", "-f", str(HERE / "objects.mk")]
    options = " ".join((*toolchain.CFLAGS, "$(PROFILE)"))
    flags = [f"OPT={options}", f"PROFILE_FLAGS={profile}", f"CC={folder}/bin/cc", f"AR={folder}/bin/ar"]
    argv = ["make", f"-j{os.cpu_count()}", *makefiles, *flags, target]
    with progress(label, lines) as shown:
        run(argv, folder / "log", cwd=folder, env=toolchain.environment(folder / "bin"), shown=shown)


def _link_freezer(folder: Path, tree: Path) -> Path:
    freezer = folder / "freezer.wasm"
    files = [*(GUEST_C / f"{name}.c" for name in WORLD), HERE / "freezer.c"]
    internal = [f"-I{tree}/Include/internal/mimalloc", "-DPy_BUILD_CORE"]
    flags = ["-mexec-model=reactor", "-O1", *include_flags(folder, tree), *internal]
    inputs = [*files, *core_inputs(folder), folder / "Modules/getpath_noop.o"]
    argv: list[str | Path] = [folder / "bin/cc", *flags, *inputs, *toolchain.LIBS, "-o", freezer]
    with progress("link the freezer") as shown:
        run(argv, folder / "log", cwd=folder, env=toolchain.environment(folder / "bin"), shown=shown)
    return freezer


def frozen_header(name: str, code: bytes) -> str:
    """The C array that Python/frozen.c includes for one module."""
    rows = (code[i : i + 24] for i in range(0, len(code), 24))
    body = "\n".join(",".join(map(str, row)) + "," for row in rows)
    return f"/* Made by build/recipe. */\nconst unsigned char _Py_M__{name.replace('.', '_')}[] = {{\n{body}\n}};\n"


def _freeze(folder: Path, tree: Path, freezer: Path) -> None:
    modules = FREEZE.findall((folder / "Makefile").read_text())
    with progress("freeze bootstrap modules", len(modules)) as shown:
        host = StageHost(freezer)
        host.checked("freezer_start")
        for name, source, header in modules:
            code = _frozen(host, name, (tree / source).read_bytes())
            (folder / header).parent.mkdir(parents=True, exist_ok=True)
            (folder / header).write_text(frozen_header(name, code))
            shown.advance()


def _frozen(host: StageHost, name: str, source: bytes) -> bytes:
    label = host.place("freezer_room", f"<frozen {name}>".encode() + b"\0")
    packed = host.call("freezer_freeze", label, host.place("freezer_room", source + b"\0"))
    assert packed, f"cannot freeze {name}"
    return host.read(packed >> 32, packed & 0xFFFFFFFF)
