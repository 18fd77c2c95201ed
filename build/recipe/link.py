"""`link`: the guest's C, the added modules and CPython's objects become one reactor module."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

from recipe import cpython, sources, toolchain
from recipe.inputs import load
from recipe.modules import LIBC, CModule, all_modules, library
from recipe.progress import Progress, progress, run
from recipe.workspace import digest_files, digest_of, fresh, step

GUEST_FLAGS = ("-Wall", "-Wextra", "-Werror", "-std=c11")
# Bytes, in linear memory: what the bytecode compiler takes for 12,000 levels of a program, its recursion limit, and
# pickle for 6,000 objects in each other, with a quarter to spare: beyond it a program ends its guest.
SHADOW_STACK = 10 << 20
LINK_FLAGS = (
    "-mexec-model=reactor",
    "-Wl,--export=__stack_pointer",
    "-Wl,--strip-all",
    f"-Wl,-z,stack-size={SHADOW_STACK}",
)

Job = tuple[Path, tuple[str, ...]]
"""A C file, and the flags of its own."""


def key() -> str:
    """What the linked module depends on."""
    own = digest_of(*(digest_files(folder.glob("*.[ch]"), folder) for folder in (cpython.GUEST_C, LIBC)))
    added = [sources.key_of(source) for source in load().values()]
    recipe = [Path(__file__).read_bytes(), Path(__file__).with_name("modules.py").read_bytes()]
    return digest_of(cpython.compile_key(), own, *added, *recipe)


def _compile(job: Job, folder: Path, objects: Path, shown: Progress) -> Path:
    source, flags = job
    tag = hashlib.sha256(str(source).encode()).hexdigest()[:8]
    target = folder / f"{source.stem}-{tag}.o"
    include = cpython.include_flags(objects, sources.unpacked("cpython"))
    argv: list[str | Path] = [objects / "bin/cc", *toolchain.CFLAGS, *include, *flags, "-c", source, "-o", target]
    run(argv, folder / f"{target.stem}.log", cwd=folder, env=toolchain.environment(objects / "bin"), shown=shown)
    shown.advance()
    return target


def _guest() -> CModule:
    include = (sources.unpacked("sqlite") / "sqlite", sources.unpacked("zlib"))
    flags = (*GUEST_FLAGS, *(f"-isystem{folder}" for folder in include))
    return CModule("guest", tuple(sorted(cpython.GUEST_C.glob("*.c"))), flags)


def _jobs(modules: list[CModule]) -> list[Job]:
    return list(chain.from_iterable(((file, m.flags) for file in m.files) for m in modules))


def _compile_all(folder: Path, objects: Path) -> list[Path]:
    jobs = _jobs([*library(), _guest(), *all_modules()])
    with progress("compile the guest's modules", len(jobs)) as shown, ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(partial(_compile, folder=folder, objects=objects, shown=shown), jobs))


def linked() -> Path:
    """The folder of `guest.wasm`, unbaked. Raises `BuildError`."""
    objects = cpython.compiled()

    def work(folder: Path) -> None:
        own = _compile_all(fresh(folder), objects)
        frozen = [objects / "Modules/getpath.o", objects / "Python/frozen.o"]
        target = folder / "guest.wasm"
        everything = [*own, *cpython.core_inputs(objects), *frozen]
        argv: list[str | Path] = [objects / "bin/cc", "-O3", *LINK_FLAGS, *everything, *toolchain.LIBS, "-o", target]
        with progress("link the guest") as shown:
            run(argv, folder / "log", cwd=folder, env=toolchain.environment(objects / "bin"), shown=shown)

    return step("link", key(), work)
