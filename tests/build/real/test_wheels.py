"""Wheels with the host in C: their tags, their records, what they add to the pure one, and what the extension needs.

By default the one for this machine, made of a small wheel; `make wheels` checks all that it has built (CLOCHE_WHEELS).
"""

import base64
import csv
import hashlib
import io
import os
import struct
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from packaging.utils import parse_wheel_filename

from recipe import host
from recipe.workspace import BuildError

pefile: Any = import_module("pefile")
FOLDER = os.environ.get("CLOCHE_WHEELS")
MACHINES = {"x86_64": ("EM_X86_64", 0x01000007, 0x8664), "aarch64": ("EM_AARCH64", 0x0100000C, 0xAA64)}
WINDOWS = {"python3.dll", "kernel32.dll"}
# Load commands of Mach-O files: a library, the signature without which nothing runs on arm64, the oldest system.
LIBRARY, SIGNATURE, OLDEST, OLDEST_BEFORE = 0x0C, 0x1D, 0x32, 0x24


def names() -> list[str]:
    """Return the platforms whose wheels are checked."""
    if FOLDER is not None:
        return [*host.PLATFORMS]
    try:
        return [name for name, each in host.PLATFORMS.items() if each == host.here()]
    except BuildError:
        return []


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if FOLDER is not None:
        (path,) = Path(FOLDER).glob("cloche-*-py3-none-any.whl")
        return path
    path = tmp_path_factory.mktemp("pure") / "cloche-0.1.0-py3-none-any.whl"
    files = {
        "cloche/__init__.py": b"",
        "cloche-0.1.0.dist-info/METADATA": b"Metadata-Version: 2.4\nName: cloche\nVersion: 0.1.0\n",
        "cloche-0.1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
        rows = [f"{name},{recorded(content)}\n" for name, content in files.items()]
        wheel.writestr("cloche-0.1.0.dist-info/RECORD", "".join(rows) + "cloche-0.1.0.dist-info/RECORD,,\n")
    return path


@pytest.fixture(scope="module", params=names())
def target(request: pytest.FixtureRequest) -> host.Platform:
    return host.PLATFORMS[request.param]


@pytest.fixture(scope="module")
def wheel(target: host.Platform, pure: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    if FOLDER is None:
        return zipfile.ZipFile(host.platform_wheel(pure, target, tmp_path_factory.mktemp("wheel")))
    (path,) = Path(FOLDER).glob(f"*-{host.PYTHON_TAG}-{target.tag}.whl")
    return zipfile.ZipFile(path)


def recorded(content: bytes) -> str:
    """Return how a wheel's record notes a file."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={digest},{len(content)}"


def dist_info(wheel: zipfile.ZipFile, name: str) -> str:
    (found,) = [each for each in wheel.namelist() if each.endswith(f".dist-info/{name}")]
    return wheel.read(found).decode()


def test_its_name_and_its_tags_are_the_same(wheel: zipfile.ZipFile, target: host.Platform) -> None:
    _name, _version, _build, tags = parse_wheel_filename(Path(str(wheel.filename)).name)
    lines = dist_info(wheel, "WHEEL").splitlines()
    assert {line.removeprefix("Tag: ") for line in lines if line.startswith("Tag: ")} == set(map(str, tags))
    assert {tag.platform for tag in tags} == set(target.tag.split("."))
    assert {(tag.interpreter, tag.abi) for tag in tags} == {("cp311", "abi3")}
    assert "Root-Is-Purelib: false" in lines


def test_its_record_is_right(wheel: zipfile.ZipFile) -> None:
    rows = {name: ",".join(rest) for name, *rest in csv.reader(io.StringIO(dist_info(wheel, "RECORD")))}
    (record,) = [name for name in rows if name.endswith("/RECORD")]
    assert rows.pop(record) == ","
    files = [name for name in wheel.namelist() if name != record]
    assert rows == {name: recorded(wheel.read(name)) for name in files}
    assert len(files) == len(set(files))


def test_it_is_the_pure_wheel_and_the_extension(wheel: zipfile.ZipFile, pure: Path, target: host.Platform) -> None:
    with zipfile.ZipFile(pure) as before:
        extension = f"cloche/{target.file}"
        assert set(wheel.namelist()) == {*before.namelist(), extension}
        changed = {name for name in before.namelist() if before.read(name) != wheel.read(name)}
        assert {name.rpartition("/")[2] for name in changed} == {"WHEEL", "RECORD"}
        assert wheel.getinfo(extension).external_attr >> 16 == 0o100755


def test_it_needs_nothing_but_the_stable_abi(wheel: zipfile.ZipFile) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "abi3audit", "--strict", "--summary", str(wheel.filename)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "1 extensions scanned; 0 ABI version mismatches and 0 ABI violations found" in said


def test_it_runs_on_the_oldest_systems_of_its_tag(wheel: zipfile.ZipFile, target: host.Platform) -> None:
    content = wheel.read(f"cloche/{target.file}")
    elf, mach, portable = MACHINES[target.target.partition("-")[0]]
    if "linux" in target.target:
        _check_elf(content, elf, target)
    elif "macos" in target.target:
        _check_mach(content, mach, target)
    else:
        _check_portable(content, portable)


def _check_elf(content: bytes, machine: str, target: host.Platform) -> None:
    file: Any = ELFFile(io.BytesIO(content))
    assert file["e_machine"] == machine
    sections: list[Any] = [*file.iter_sections()]
    dynamic: Any = next(each for each in sections if isinstance(each, DynamicSection))
    needed = {tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"}
    versions = {
        name.name
        for section in sections
        if isinstance(section, GNUVerNeedSection)
        for _library, needs in section.iter_versions()
        for name in needs
    }
    if "musl" in target.target:
        assert (needed, versions) == ({"libc.so"}, set())
        return
    assert needed <= {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
    floor = tuple(map(int, target.target.partition("gnu.")[2].split(".")))
    found = {tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in versions}
    assert found
    assert max(found) <= floor
    # manylinux_2_17 is glibc 2.17.
    assert "_".join(map(str, floor)) in target.tag


def _check_mach(content: bytes, machine: int, target: host.Platform) -> None:
    _magic, kind, _, _, count, _, _, _ = struct.unpack_from("<8I", content)
    assert kind == machine
    at, commands = 32, dict[int, bytes]()
    libraries: list[str] = []
    for _ in range(count):
        number, size = struct.unpack_from("<2I", content, at)
        commands[number & 0x7FFFFFFF] = body = content[at : at + size]
        if number & 0x7FFFFFFF == LIBRARY:
            (start,) = struct.unpack_from("<I", body, 8)
            libraries.append(body[start:].rstrip(b"\0").decode())
        at += size
    assert libraries == ["/usr/lib/libSystem.B.dylib"]
    assert SIGNATURE in commands or machine != MACHINES["aarch64"][1]
    # LC_BUILD_VERSION has a platform before the version, the older command has not.
    (oldest,) = (
        struct.unpack_from("<I", commands[OLDEST], 12)
        if OLDEST in commands
        else struct.unpack_from("<I", commands[OLDEST_BEFORE], 8)
    )
    assert f"{oldest >> 16}_{oldest >> 8 & 0xFF}" in target.tag


def _check_portable(content: bytes, machine: int) -> None:
    file: Any = pefile.PE(data=content)
    assert file.FILE_HEADER.Machine == machine
    libraries = {each.dll.decode().lower() for each in file.DIRECTORY_ENTRY_IMPORT}
    # The universal C run time is a part of Windows, as of the oldest one that Python is for.
    assert {name for name in libraries if not name.startswith("api-ms-win-crt-")} == WINDOWS
    assert b"PyInit__host" in {each.name for each in file.DIRECTORY_ENTRY_EXPORT.symbols}
