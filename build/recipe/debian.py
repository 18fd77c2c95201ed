"""Fetching through apt's own transport, in a private apt folder: no root, no change to the system."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from recipe.errors import BuildError
from recipe.inputs import Debian

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
FOLDERS = ("state/lists/partial", "cache/archives/partial", "etc/sources.list.d", "etc/apt.conf.d", "etc/preferences.d")


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
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    (folder / "state/status").touch()
    source = f"deb-src [signed-by={KEYRING}] http://deb.debian.org/debian {suite} main\n"
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
