"""The facts of this installation, as ``cloche info`` shows them."""

import platform
from dataclasses import asdict
from typing import Any

from cloche.cli.image_files import read_manifest, read_module
from cloche.cli.versions import cloche_version, package_version
from cloche.cli.wasm_sections import read_door
from cloche.runtime.errors import ImageError
from cloche.runtime.limits import Limits
from cloche.runtime.wasm.folder import cache_home

__all__ = ["IMPORT_PURPOSES", "installation"]

IMPORT_PURPOSES = {
    "cloche.call": "call a host tool, start one in the background, wait, cancel, sleep",
    "cloche.take": "fetch an answer that was longer than the buffer",
    "cloche.write": "a piece of stdout or stderr",
    "cloche.clock": "the time, as the session's policy gives it",
    "cloche.entropy": "random bytes, as the session's policy gives them",
}
"""Everything that a guest can ask of its host, and what for."""

_EXPORT_PURPOSES = {
    "memory": "the guest's whole world",
    "__stack_pointer": "where its C stack is",
    "cloche_inbox": "room for a request",
    "cloche_step": "handle the request",
}


def installation() -> dict[str, Any]:
    """Return the facts as JSON-able data, by section. Raises ImageError if the image is missing or damaged."""
    manifest = read_manifest()
    module, digest = read_module()
    try:
        door = read_door(module)
    except ValueError as error:
        raise ImageError(f"the guest image is damaged: {error}") from None
    return {
        "versions": _versions(manifest),
        "image": _image(manifest, module, digest),
        "imports": {name: IMPORT_PURPOSES.get(name, "unknown: this image is not Cloche's") for name in door.imports},
        "exports": {name: f"{kind}: {_EXPORT_PURPOSES.get(name, 'unknown')}" for kind, name in door.exports},
        "cache": _cache(),
        "limits": asdict(Limits()),
    }


def _versions(manifest: dict[str, Any]) -> dict[str, Any]:
    return {
        "cloche": cloche_version(),
        "wasmtime": package_version("wasmtime"),
        "guest python": manifest.get("python", "unknown"),
        "host python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _image(manifest: dict[str, Any], module: bytes, digest: str) -> dict[str, Any]:
    sound = digest == manifest.get("sha256")
    return {
        "sha256": digest,
        "size": len(module),
        "abi": manifest.get("abi", "unknown"),
        "matches manifest": "yes" if sound else "NO: the image is not the one that was built",
    }


def _cache() -> dict[str, Any]:
    """Look at the folder of compiled images without creating it."""
    folder = cache_home() / "compiled"
    entries = [path for path in folder.glob("*.cwasm") if path.is_file()] if folder.is_dir() else []
    return {
        "folder": str(folder),
        "compiled images": len(entries),
        "bytes": sum(path.stat().st_size for path in entries),
    }
