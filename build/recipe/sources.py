"""Unpacked and patched sources, each in a folder named by its content."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from recipe import inputs
from recipe.fetch import fetch
from recipe.patching import apply, patches_for, reasons, regenerate
from recipe.progress import progress
from recipe.workspace import BuildError, digest_of, fresh, step


def _unpack(archive: Path, folder: Path) -> None:
    with progress(f"unpack {archive.name}"):
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(folder / "wheel")
            return
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")


def _top(folder: Path) -> Path:
    """The single folder an archive holds; of a wheel the one it was unpacked to."""
    (top,) = [p for p in folder.iterdir() if p.is_dir()]
    return top


def key_of(source: inputs.Input) -> str:
    """The content key of a source: its archive and its patches."""
    return digest_of(source.sha256, *(p.read_bytes() for p in patches_for(source.name)))


def unpacked(name: str) -> Path:
    """The source tree of one input, fetched, unpacked and patched. Raises `BuildError`."""
    source = (inputs.load() | inputs.load(inputs.DATA))[name]

    def work(folder: Path) -> None:
        archive = fetch(source)
        fresh(folder)
        _unpack(archive, folder)
        for patch in patches_for(name):
            print(f"patch {patch.name}: {reasons(patch)}", flush=True)
            apply(patch, _top(folder))
        if name == "cpython":
            regenerate(_top(folder))

    folder = step(f"source-{name}", key_of(source), work)
    if not any(folder.iterdir()):
        raise BuildError(f"{folder} is empty; remove it and build again")
    return _top(folder)
