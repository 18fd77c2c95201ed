"""`host`: the hot path of a run in C, `cloche._host`, compiled for this machine by the compiler of the guest."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from recipe.inputs import BUILD
from recipe.toolchain import zig, zig_version
from recipe.workspace import BuildError, digest_files, digest_of, step

SOURCES = BUILD.parent / "runtime" / "wasm" / "host"
PLACE = BUILD.parent / "src" / "cloche"
NAME = "_host.abi3.so"
FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")

_MACHINES = {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def target() -> str:
    """This machine, as zig calls it: with the oldest glibc that Python's own wheels ask for, or musl.

    Raises `BuildError` where the C code was never tried.
    """
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        raise BuildError(f"the host in C is for Linux on x86-64 and AArch64, and this is {platform.platform()}")
    return f"{machine}-linux-{'gnu.2.17' if platform.libc_ver()[0] == 'glibc' else 'musl'}"


def sources() -> list[Path]:
    """The C files, in a fixed order."""
    return sorted(SOURCES.glob("*.c"))


def compile_host(arguments: Iterable[str | Path]) -> None:
    """Run the compiler on the C files. Raises `BuildError` with what it says."""
    command = [zig(), "cc", "-target", target(), *FLAGS, *arguments, *sources()]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise BuildError(f"the host in C was not compiled:\n{done.stderr[-4000:]}")


def built() -> Path:
    """The extension in the build cache."""
    files = digest_files(SOURCES.iterdir(), SOURCES)
    key = digest_of(files, target(), " ".join(FLAGS), zig_version())
    return step("host", key, lambda folder: compile_host(["-shared", "-s", "-o", folder / NAME])) / NAME


def install() -> Path | None:
    """Put the extension beside the package's front, unless it is there. Returns its path.

    None, and a line on stderr, where it cannot be built: Python does the same work then, more slowly.
    """
    place = PLACE / NAME
    try:
        found = built()
    except BuildError as error:
        print(f"note: {error}\nwithout it a short run takes three times as long", file=sys.stderr)
        place.unlink(missing_ok=True)
        return None
    if not place.exists() or place.read_bytes() != found.read_bytes():
        # A new file, and not the old one's bytes: processes may have that one mapped.
        part = place.with_suffix(f".{os.getpid()}.part")
        shutil.copyfile(found, part)
        part.replace(place)
    return place
