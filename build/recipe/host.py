"""The host in C, `cloche._host`: compiled by the guest's compiler for this machine, and for wheels of each platform."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recipe.inputs import BUILD
from recipe.toolchain import zig, zig_version
from recipe.workspace import BuildError, digest_files, digest_of, step

SOURCES = BUILD.parent / "runtime" / "wasm" / "host"
PLACE = BUILD.parent / "src" / "cloche"
FLAGS = ("-std=gnu11", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")
# What time.perf_counter reads there, and the host in C too.
_CLOCK, _MACOS_CLOCK = "-DCLOCK=CLOCK_MONOTONIC", "-DCLOCK=CLOCK_UPTIME_RAW"
# The oldest Python whose stable ABI has all that is used.
PYTHON_TAG = "cp311-abi3"
# Where Python's functions are found when the extension is loaded, and not when it is linked.
_MACOS = ("-undefined", "dynamic_lookup", _MACOS_CLOCK)


@dataclass(frozen=True)
class Platform:
    """One platform that the host in C is built for.

    ``tag``     what its wheels are called, with the oldest system that they are for, which is wasmtime's.
    ``target``  what zig calls it, with the oldest C library.
    ``file``    what Python calls an extension there.
    ``flags``   what the compiler needs there beside :data:`FLAGS`.
    """

    tag: str
    target: str
    file: str = "_host.abi3.so"
    flags: tuple[str, ...] = ("-fPIC", _CLOCK)


PLATFORMS = {
    "linux-x86_64-glibc": Platform("manylinux_2_17_x86_64.manylinux2014_x86_64", "x86_64-linux-gnu.2.17"),
    "linux-aarch64-glibc": Platform("manylinux_2_17_aarch64.manylinux2014_aarch64", "aarch64-linux-gnu.2.17"),
    "linux-x86_64-musl": Platform("musllinux_1_2_x86_64", "x86_64-linux-musl"),
    "linux-aarch64-musl": Platform("musllinux_1_2_aarch64", "aarch64-linux-musl"),
    "darwin-x86_64": Platform("macosx_10_13_x86_64", "x86_64-macos.10.13", flags=_MACOS),
    "darwin-aarch64": Platform("macosx_11_0_arm64", "aarch64-macos.11.0", flags=_MACOS),
    "win32-x86_64": Platform("win_amd64", "x86_64-windows-gnu", "_host.pyd", (_CLOCK,)),
}
"""All platforms, by the system's name as Python has it, the machine's, and on Linux the C library's."""


def here() -> Platform:
    """This machine's platform. Raises `BuildError` where the host in C is not built."""
    machine = platform.machine().lower()
    name = f"{sys.platform}-{ {'amd64': 'x86_64', 'arm64': 'aarch64'}.get(machine, machine) }"
    if sys.platform == "linux":
        name += "-glibc" if platform.libc_ver()[0] == "glibc" else "-musl"
    if name not in PLATFORMS:
        raise BuildError(f"the host in C is for {', '.join(PLATFORMS)}, and this is {name}")
    return PLATFORMS[name]


def sources() -> list[Path]:
    """The C files, in a fixed order."""
    return sorted(SOURCES.glob("*.c"))


def compile_host(arguments: Iterable[str | Path], target: Platform) -> None:
    """Run the compiler on the C files. Raises `BuildError` with what it says."""
    _zig("cc", "-target", target.target, *FLAGS, *target.flags, *sources(), *arguments)


def built(target: Platform) -> Path:
    """The extension for a platform, in the build cache."""

    def work(folder: Path) -> None:
        libraries = [_python_library(folder)] if target.file.endswith(".pyd") else []
        compile_host(["-shared", "-s", "-o", folder / target.file, *libraries], target)

    files = digest_files(SOURCES.iterdir(), SOURCES)
    return step("host", digest_of(files, repr(target), " ".join(FLAGS), zig_version()), work) / target.file


def install() -> Path | None:
    """Put this machine's extension beside the package's front, unless it is there. Returns its path.

    None, and a line on stderr, where it cannot be built: Python does the same work then, more slowly.
    """
    try:
        found = built(here())
    except BuildError as error:
        print(f"note: {error}\nwithout it a short run takes three times as long", file=sys.stderr)
        for other in {each.file for each in PLATFORMS.values()}:
            (PLACE / other).unlink(missing_ok=True)
        return None
    place = PLACE / found.name
    if not place.exists() or place.read_bytes() != found.read_bytes():
        # A new file, and not the old one's bytes: processes may have that one mapped.
        part = place.with_suffix(f".{os.getpid()}.part")
        shutil.copyfile(found, part)
        part.replace(place)
    return place


def wheels() -> Path:
    """Build the sdist, the pure wheel from it, and a wheel for each platform, into `dist/`. Returns that folder."""
    folder = BUILD.parent / "dist"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        made = Path(name)
        build: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation", "--outdir", made, BUILD.parent]
        if subprocess.run(build, stdout=sys.stderr, check=False).returncode:
            raise BuildError("the sdist and the pure wheel were not built")
        (pure,) = made.glob("*.whl")
        for target in PLATFORMS.values():
            platform_wheel(pure, target, made)
        for path in made.iterdir():
            path.replace(folder / path.name)
    return folder


def platform_wheel(pure: Path, target: Platform, folder: Path) -> Path:
    """Write the pure wheel once more, with the host in C for one platform. Returns the new one's path."""
    place = folder / pure.name.replace("py3-none-any", f"{PYTHON_TAG}-{target.tag}")
    extension = f"cloche/{target.file}"
    with zipfile.ZipFile(pure) as source, zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as wheel:
        *members, record = source.infolist()
        assert record.filename.endswith(".dist-info/RECORD"), "the wheel's builder writes the record last"
        rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(source.read(record).decode()))}
        for info in [zipfile.ZipInfo(extension, record.date_time), *members]:
            content = built(target).read_bytes() if info.filename == extension else source.read(info)
            if info.filename.endswith(".dist-info/WHEEL"):
                content = _tagged(content.decode(), target).encode()
            rows[info.filename] = [f"sha256={_digest(content)}", str(len(content))]
            # As any program's library: for everyone to read and execute.
            info.external_attr = info.external_attr or 0o100755 << 16
            wheel.writestr(info, content, zipfile.ZIP_DEFLATED)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([name, *row] for name, row in rows.items())
        wheel.writestr(record, text.getvalue(), zipfile.ZIP_DEFLATED)
    return place


def _tagged(text: str, target: Platform) -> str:
    """The file WHEEL with another tag: one line for each name that the platform has."""
    tags = "\n".join(f"Tag: {PYTHON_TAG}-{tag}" for tag in target.tag.split("."))
    return text.replace("Root-Is-Purelib: true", "Root-Is-Purelib: false").replace("Tag: py3-none-any", tags)


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _python_library(folder: Path) -> Path:
    """What Windows' linker has to know of `python3.dll`, the stable ABI's: the names that abi3.h declares."""
    text = re.sub(r"/\*.*?\*/", "", (SOURCES / "abi3.h").read_text(encoding="utf-8"), flags=re.DOTALL)
    _, _, declared = text.partition("#else")
    data = re.findall(r"\b_?Py\w+(?=[,;])", "".join(re.findall(r"^extern .*;$", declared, re.MULTILINE)))
    functions = re.findall(
        r"\b_?Py\w+(?=\()", "".join(re.findall(r"^(?!#|typedef|extern).*\);$", declared, re.MULTILINE))
    )
    definition, library = folder / "python3.def", folder / "python3.lib"
    lines = ["LIBRARY python3.dll", "EXPORTS", *(f"{name} DATA" for name in data), *functions]
    definition.write_text("\n".join(lines) + "\n")
    _zig("dlltool", "-m", "i386:x86-64", "-d", definition, "-l", library)
    return library


def _zig(*arguments: str | Path) -> None:
    done = subprocess.run([zig(), *arguments], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise BuildError(f"the host in C was not compiled:\n{done.stderr[-4000:]}")
