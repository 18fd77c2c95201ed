"""The data image as a wheel of its own, `cloche-data`: installed beside Cloche, its images are found by their names.

The same image gives the same bytes. Nothing in it is run by pip, and nothing of it is imported but its place.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cloche
from recipe import inputs
from recipe.data import image
from recipe.progress import progress

NAME, MODULE = "cloche-data", "cloche_data"
TARGET = inputs.BUILD.parent / "dist"
WHEEL = "Wheel-Version: 1.0\nGenerator: cloche-recipe\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
METADATA = """\
Metadata-Version: 2.4
Name: {name}
Version: {version}
Summary: Cloche's data image: NumPy, pandas and matplotlib inside the sandbox, imported before a program starts.
License-Expression: Apache-2.0
License-File: {module}/images/data/licenses
Requires-Python: >=3.11
Requires-Dist: cloche=={version}

`Sandbox(image="data")` finds it where it is installed. It is built by Cloche's own recipe from pinned sources, with
`make wheel-data`; the licences of what is in it lie beside it.
"""
INIT = '"""Images of Cloche: see the folder `images`."""\n'
# The first moment that a zip file can name: the bytes do not depend on when they were made.
_MOMENT = (1980, 1, 1, 0, 0, 0)


def _record_line(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def contents(folder: Path, version: str) -> Iterator[tuple[str, bytes]]:
    """The wheel's files by name, from an image's folder; the record last."""
    info = f"{MODULE}-{version}.dist-info"
    record = ""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    packed = [(f"{MODULE}/images/data/{path.relative_to(folder).as_posix()}", path.read_bytes()) for path in files]
    metadata = METADATA.format(name=NAME, module=MODULE, version=version)
    own = [(f"{MODULE}/__init__.py", INIT), (f"{info}/METADATA", metadata), (f"{info}/WHEEL", WHEEL)]
    for name, data in [*packed, *((name, text.encode()) for name, text in own)]:
        record += _record_line(name, data)
        yield name, data
    yield f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode()


def write(folder: Path, target: Path, version: str = cloche.__version__) -> Path:
    """Write the wheel of an image's folder into another folder. Returns its path."""
    target.mkdir(parents=True, exist_ok=True)
    wheel = target / f"{MODULE}-{version}-py3-none-any.whl"
    part = wheel.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in contents(folder, version):
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    part.replace(wheel)
    return wheel


def built() -> Path:
    """The wheel of the data image, in `dist`. Raises `BuildError`."""
    folder = image.install()
    with progress("pack the data image"):
        return write(folder, TARGET)
