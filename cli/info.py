"""``cloche info``: what this installation consists of, and the licences of what is inside the guest image."""

import argparse
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from cloche import __version__
from cloche.cli.exit_codes import ExitCode
from cloche.cli.flags import Commands
from cloche.runtime.errors import ImageError
from cloche.runtime.limits import Limits
from cloche.runtime.wasm import native
from cloche.runtime.wasm.cache import cache_home
from cloche.runtime.wasm.image import DEFAULT_IMAGE, read_manifest
from cloche.runtime.wasm.module_file import read_door

__all__ = ["IMPORT_PURPOSES", "add_parser", "command"]

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
_RULE = "=" * 78


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar."""
    info = commands.add_parser(name, help=help, description="Show what this installation consists of.")
    info.add_argument("--json", action="store_true", help="print one JSON object")
    info.add_argument("--licenses", action="store_true", help="show the licences of everything inside the guest image")


def command(arguments: argparse.Namespace) -> int:
    """Print the facts or the licences. Raises ImageError if the image is missing or damaged."""
    if arguments.licenses:
        print(_licences_text(), end="")
        return ExitCode.OK
    facts = _installation()
    print(json.dumps(facts, indent=2) if arguments.json else "\n".join(_lines(facts)))
    return ExitCode.OK


def _lines(facts: Mapping[str, Any]) -> list[str]:
    """Return the facts as indented text: the same with and without rich."""
    lines: list[str] = []
    for title, content in facts.items():
        lines += ["", title] if lines else [title]
        lines += [f"  {line}" for line in _items(content)]
    return lines


def _items(content: Any) -> Sequence[str]:
    if isinstance(content, dict):
        items = cast("dict[str, Any]", content)
        width = max(map(len, items), default=0)
        return [f"{name:{width}}  {_shown(value)}" for name, value in items.items()]
    return [str(item) for item in content]


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _installation() -> dict[str, Any]:
    """Return the facts as JSON-able data, by section. Raises ImageError if the image is missing or damaged."""
    manifest = read_manifest(DEFAULT_IMAGE)
    module, digest = _read_module()
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
        "cloche": __version__,
        "wasmtime": _package_version("wasmtime"),
        "guest python": manifest.get("python", "unknown"),
        "host python": platform.python_version(),
        "host": "C" if native.host is not None else "Python",
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
    folder = Path(cache_home(), "compiled")
    entries = [path for path in folder.glob("*.cwasm") if path.is_file()] if folder.is_dir() else []
    return {
        "folder": str(folder),
        "compiled images": len(entries),
        "bytes": sum(path.stat().st_size for path in entries),
    }


def _package_version(name: str) -> str:
    """Return an installed distribution's version, or ``"(not installed)"``."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _licences_text() -> str:
    """Return a list of what is inside and then each licence in full.

    Raises ImageError if the image is missing, or if a package's licence is.
    """
    packages: list[dict[str, Any]] = read_manifest(DEFAULT_IMAGE).get("packages", [])
    texts = _texts()
    missing = [package["name"] for package in packages if package["name"] not in texts]
    if missing:
        raise ImageError(f"the licence of {missing[0]} is missing from the guest image's licenses folder")
    sections = (_section(name, texts[name]) for name in sorted(texts))
    return f"Inside the guest image:\n{_summary(packages)}" + "".join(sections)


def _texts() -> dict[str, str]:
    """Return each licence's text by the name of its file, which is its package's."""
    folder = Path(DEFAULT_IMAGE).with_name("licenses")
    files = folder.iterdir() if folder.is_dir() else ()
    return {file.name.rpartition(".")[0] or file.name: file.read_text("utf-8", "replace") for file in files}


def _summary(packages: list[dict[str, Any]]) -> str:
    rows = [[package[key] for key in ("name", "version", "licence", "url")] for package in packages]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "".join(f"  {line}\n" for line in lines)


def _section(name: str, text: str) -> str:
    return f"\n{_RULE}\n{name}\n{_RULE}\n{text.strip()}\n"


def _read_module() -> tuple[bytes, str]:
    """Return the module's bytes and their SHA-256. Raises ImageError if it is missing."""
    try:
        data = Path(DEFAULT_IMAGE).read_bytes()
    except OSError:
        raise ImageError(f"there is no guest image at {DEFAULT_IMAGE}: run make guest to build it") from None
    return data, hashlib.sha256(data).hexdigest()
