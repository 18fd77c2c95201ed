"""Which Cloche this is."""

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["cloche_version", "image_digest"]


def cloche_version() -> str:
    """Return the package's version, or ``"(not installed)"`` when it runs from its sources."""
    try:
        return version("cloche")
    except PackageNotFoundError:
        return "(not installed)"


def image_digest() -> str:
    """Return the SHA-256 that the guest image's manifest states, or an empty text."""
    from cloche.runtime.wasm.image import DEFAULT_IMAGE

    try:
        facts: Any = json.loads(DEFAULT_IMAGE.with_suffix(".json").read_text(encoding="utf-8"))
        return str(facts["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
