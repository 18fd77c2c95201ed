"""`profile`: how programs use CPython, for the compiler, made by running programs in an instrumented guest.

The result, `build/profile/cpython.profdata.xz`, is in the repository, so that building needs no second compilation and
no tools of LLVM's. It is made anew with another version of CPython or of the compiler: functions that have changed
since are compiled without it. `llvm-profdata` must be on the path, of the major version of zig's clang.
"""

from __future__ import annotations

import lzma
import os
import shutil
import struct
import subprocess
from pathlib import Path

from recipe import cpython, link, stdlib, toolchain
from recipe.progress import progress, run
from recipe.stagehost import StageHost
from recipe.workspace import BuildError, digest_of, step

FOLDER = cpython.PROFILE.parent
INSTRUMENT_FLAGS = "-Xclang -fprofile-instrument=llvm -mllvm -disable-vp=true " + cpython.NAMES_FLAGS
ROUNDS = 4
# Of the raw profile: the word "lprofR" between 0xff and 0x81, and the size of the record of one function.
MAGIC = int.from_bytes(b"\x81Rforpl\xff", "little")
RECORD = 48
LOW_32 = 0xFFFF_FFFF


def _instrumented() -> Path:
    """A build folder whose objects count; the frozen modules are those of the usual build."""
    origin, usual = cpython.configured(), cpython.compiled()

    def work(folder: Path) -> None:
        shutil.rmtree(folder)
        shutil.copytree(origin, folder, symlinks=True)
        (folder / ".done").unlink()
        shutil.copytree(usual / "Python/frozen_modules", folder / "Python/frozen_modules", dirs_exist_ok=True)
        cpython.make(folder, "cloche-core", "compile CPython, counting", cpython.COMPILE_LINES, INSTRUMENT_FLAGS)
        cpython.make(folder, "cloche-frozen", "compile frozen modules", None, INSTRUMENT_FLAGS)
        _link(folder)

    own = [Path(__file__).read_bytes(), (FOLDER / "counters.c").read_bytes()]
    return step("instrumented", digest_of(link.key(), INSTRUMENT_FLAGS, *own), work)


def _link(folder: Path) -> None:
    objects = sorted(link.linked().glob("*.o"))
    frozen = [folder / "Modules/getpath.o", folder / "Python/frozen.o"]
    inputs = [FOLDER / "counters.c", *objects, *cpython.core_inputs(folder), *frozen]
    argv: list[str | Path] = [folder / "bin/cc", "-O3", *link.LINK_FLAGS, *inputs, *toolchain.LIBS]
    with progress("link the counting guest") as shown:
        environment = toolchain.environment(folder / "bin")
        run([*argv, "-o", folder / "guest.wasm"], folder / "log", cwd=folder, env=environment, shown=shown)


def _raw(host: StageHost) -> bytes:
    """The counters, as a program's own run-time library would write them to a file."""
    facts = struct.unpack("<7I", host.read(host.call("profile_facts"), 28))
    data, counters, names = (host.read(facts[i], facts[i + 1] - facts[i]) for i in (0, 2, 4))
    (version,) = struct.unpack("<Q", host.read(facts[6], 8))
    sizes = (len(data) // RECORD, 0, len(counters) // 8, 0, 0, 0, len(names))
    head = (MAGIC, version, 0, *sizes, (facts[2] - facts[0]) & LOW_32, 0, facts[4], 0, 0, 2)
    return struct.pack("<16Q", *head) + data + counters + names + bytes(-len(names) % 8)


def profiled() -> Path:
    """Write the profile. Returns its path. Raises `BuildError`."""
    contents = stdlib.everything()
    host = stdlib.start(_instrumented() / "guest.wasm", {**contents.packed, **contents.plain})
    program = (FOLDER / "training.py").read_text()
    with progress("train", ROUNDS) as shown:
        for _ in range(ROUNDS):
            stdlib.run(host, program)
            shown.advance()
    raw = cpython.PROFILE.with_name("raw.profraw")
    merged = raw.with_suffix(".profdata")
    raw.write_bytes(_raw(host))
    try:
        subprocess.run(["llvm-profdata", "merge", "-o", merged, raw], check=True, env=dict(os.environ))
        cpython.PROFILE.write_bytes(lzma.compress(merged.read_bytes(), preset=9))
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"llvm-profdata failed: {error}") from error
    finally:
        raw.unlink()
        merged.unlink(missing_ok=True)
    return cpython.PROFILE
