"""Wheels made by hand, for tests of images: no network, and no build system."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["make_wheel"]


def make_wheel(
    folder: Path,
    name: str,
    files: Mapping[str, str | bytes],
    *,
    version: str = "1.0",
    tag: str = "py3-none-any",
    needs: Sequence[str] = (),
) -> Path:
    """Write a wheel and return its path."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    about = [
        "Metadata-Version: 2.4",
        f"Name: {name}",
        f"Version: {version}",
        "License-Expression: MIT",
        "Home-page: https://example.org",
        *(f"Requires-Dist: {each}" for each in needs),
    ]
    path = folder / f"{module}-{version}-{tag}.whl"
    pure = str(tag.endswith("-none-any")).lower()
    extra = {
        f"{info}/METADATA": "\n".join(about) + "\n\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {pure}\nTag: {tag}\n",
        f"{info}/RECORD": "",
        f"{info}/licenses/LICENSE": f"The licence of {name}.",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for place, data in {**files, **extra}.items():
            archive.writestr(place, data)
    return path
