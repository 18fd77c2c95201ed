"""The files of the guest image that this package ships."""

import hashlib
import json
from pathlib import Path
from typing import Any, cast

from cloche.runtime.errors import ImageError
from cloche.runtime.wasm.image import DEFAULT_IMAGE

__all__ = ["image_folder", "read_manifest", "read_module"]


def image_folder() -> Path:
    """Return the folder with ``cloche.wasm``, ``cloche.json`` and ``licenses/``."""
    return DEFAULT_IMAGE.parent


def read_manifest() -> dict[str, Any]:
    """Return what the image's builder wrote about it. Raises ImageError if it is missing or damaged."""
    try:
        manifest = json.loads(_read("cloche.json"))
    except ValueError as error:
        raise ImageError(f"the guest image's manifest cloche.json is damaged: {error}") from None
    if not isinstance(manifest, dict):
        raise ImageError("the guest image's manifest cloche.json is damaged: it holds no object")
    return cast("dict[str, Any]", manifest)


def read_module() -> tuple[bytes, str]:
    """Return the module's bytes and their SHA-256. Raises ImageError if it is missing."""
    data = _read("cloche.wasm")
    return data, hashlib.sha256(data).hexdigest()


def _read(name: str) -> bytes:
    try:
        return image_folder().joinpath(name).read_bytes()
    except OSError:
        raise ImageError(f"the guest image's {name} is missing: build it with 'make guest'") from None
