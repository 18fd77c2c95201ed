"""The licences of everything inside the guest image."""

from typing import Any

from cloche.cli.image_files import image_folder, read_manifest
from cloche.runtime.errors import ImageError

__all__ = ["licences_text"]

_RULE = "=" * 78


def licences_text() -> str:
    """Return a list of what is inside and then each licence in full.

    Raises ImageError if the image is missing, or if a package's licence is.
    """
    packages: list[dict[str, Any]] = read_manifest().get("packages", [])
    texts = _texts()
    missing = [package["name"] for package in packages if package["name"] not in texts]
    if missing:
        raise ImageError(f"the licence of {missing[0]} is missing from the guest image's licenses folder")
    sections = (_section(name, texts[name]) for name in sorted(texts))
    return f"Inside the guest image:\n{_summary(packages)}" + "".join(sections)


def _texts() -> dict[str, str]:
    """Return each licence's text by the name of its file, which is its package's."""
    folder = image_folder().joinpath("licenses")
    files = folder.iterdir() if folder.is_dir() else ()
    return {file.name.rpartition(".")[0] or file.name: file.read_text("utf-8", "replace") for file in files}


def _summary(packages: list[dict[str, Any]]) -> str:
    rows = [[package[key] for key in ("name", "version", "licence", "url")] for package in packages]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "".join(f"  {line}\n" for line in lines)


def _section(name: str, text: str) -> str:
    return f"\n{_RULE}\n{name}\n{_RULE}\n{text.strip()}\n"
