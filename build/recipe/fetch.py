"""`fetch`: get the pinned source archives, from the first place that has the right bytes.

Debian's come through apt's own transport in a private apt folder: no root, no change to the system.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from recipe.inputs import Debian, Input
from recipe.progress import Progress, progress
from recipe.workspace import BuildError, cache_root

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_FOLDERS = (
    "state/lists/partial",
    "cache/archives/partial",
    "etc/sources.list.d",
    "etc/apt.conf.d",
    "etc/preferences.d",
)

# The backends of the packages that are taken from the index, each replaced by one that only hands over metadata.
STAND_INS = ("mesonpy.py", "setuptools/build_meta.py")
BACKEND = Path(__file__).parent / "programs" / "backend.py"
PYTHON = "3.13"
"""The guest's."""
CHUNK = 1 << 18
TIMEOUT = 30
Place = tuple[str, Callable[[Path], object]]


def downloads() -> Path:
    """The folder of verified archives."""
    folder = cache_root() / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, wanted: Input, origin: str) -> None:
    """Raise `BuildError` naming file, expected and got, unless the bytes are the pinned ones."""
    got = sha256_of(path)
    if got != wanted.sha256:
        size = path.stat().st_size
        raise BuildError(
            f"{wanted.file} from {origin} is not the pinned file: expected sha256 {wanted.sha256} "
            f"({wanted.size} bytes), got {got} ({size} bytes)"
        )


def _copy(source: IO[bytes], target: Path, shown: Progress) -> None:
    with target.open("wb") as file:
        while chunk := source.read(CHUNK):
            file.write(chunk)
            shown.advance(len(chunk))


def _download(url: str, wanted: Input, target: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as reply, progress(f"fetch {wanted.file}", wanted.size) as shown:
        _copy(reply, target, shown)


def _from_index(wanted: Input, target: Path) -> None:
    """Take a source distribution from the package index pip is set up for. Nothing of it is run."""
    folder = target.parent / f"index-{os.getpid()}"
    options = ["-q", "--no-deps"]
    if wanted.file.endswith(".whl"):
        # Pure ones, whatever the machine.
        options += ["--only-binary", ":all:", "--platform", "any", "--implementation", "py", "--abi", "none"]
        options += ["--python-version", PYTHON]
    else:
        options += ["--no-binary", ":all:", "--no-build-isolation", "--ignore-requires-python"]
    try:
        for module in STAND_INS:
            (folder / "backend" / module).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(BACKEND, folder / "backend" / module)
        (folder / "backend" / "setuptools" / "__init__.py").touch()
        command = [sys.executable, "-m", "pip", "download", *options, "-d", str(folder), str(wanted.index)]
        environment = {**os.environ, "PYTHONPATH": str(folder / "backend")}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        shutil.move(folder / wanted.file, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _places(wanted: Input) -> Iterator[Place]:
    named = os.environ.get("CLOCHE_SOURCES")
    if named:
        yield f"$CLOCHE_SOURCES ({named})", lambda to: shutil.copyfile(Path(named) / wanted.file, to)
    for url in wanted.urls:
        yield url, lambda to, url=url: _download(url, wanted, to)  # type: ignore[misc]
    if wanted.index:
        yield f"the package index ({wanted.index})", lambda to: _from_index(wanted, to)
    debian = wanted.debian
    if debian:
        yield f"Debian's source package {debian.package}", lambda to: from_debian(debian, to)


def fetch(wanted: Input) -> Path:
    """The verified archive of one input, fetched if it is not here yet. Raises `BuildError` if no place has it."""
    kept = downloads() / wanted.file
    if kept.exists() and kept.stat().st_size == wanted.size and sha256_of(kept) == wanted.sha256:
        return kept
    part = kept.with_suffix(f".{os.getpid()}.part")
    failures: list[str] = []
    for origin, get in _places(wanted):
        try:
            get(part)
            verify(part, wanted, origin)
            part.replace(kept)
            return kept
        except (OSError, BuildError, subprocess.CalledProcessError) as error:
            failures.append(f"  {origin}: {error}")
        finally:
            part.unlink(missing_ok=True)
    tried = "\n".join(failures)
    raise BuildError(
        f"cannot fetch {wanted.file}; tried\n{tried}\n"
        "Put the file into a folder and name that folder in CLOCHE_SOURCES."
    )


def _options(folder: Path) -> list[str]:
    places = {
        "Dir::State": folder / "state",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::SourceList": folder / "etc/sources.list",
        "Dir::Etc::SourceParts": folder / "etc/sources.list.d",
        "Dir::State::status": folder / "state/status",
        "APT::Sandbox::User": "",
    }
    return [f"-o{key}={value}" for key, value in places.items()]


def _apt(folder: Path, *arguments: str) -> None:
    command = ["apt-get", "-q", *_options(folder), *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C"})


def _prepare(folder: Path, suite: str) -> None:
    for name in _FOLDERS:
        (folder / name).mkdir(parents=True)
    (folder / "state/status").touch()
    source = f"deb-src [signed-by={_KEYRING}] http://deb.debian.org/debian {suite} main\n"
    (folder / "etc/sources.list").write_text(source)


def from_debian(wanted: Debian, target: Path) -> None:
    """Download one file of a Debian source package to `target`. Raises `BuildError` without apt."""
    if not shutil.which("apt-get"):
        raise BuildError("apt-get is not on this machine")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, wanted.suite)
        _apt(folder, "update")
        _apt(folder, "source", "--download-only", f"{wanted.package}/{wanted.suite}")
        shutil.move(folder / wanted.file, target)
