"""What programs show in a notebook, as displays of the run."""

from collections.abc import Callable
from typing import Any

from cloche_guest.displays import show

__all__ = [
    "HTML",
    "JPEG",
    "JSON",
    "PNG",
    "SVG",
    "Image",
    "Latex",
    "Markdown",
    "Math",
    "Pretty",
    "clear_output",
    "display",
]


def display(*values: object, **_: Any) -> None:
    """Show values, in the formats that they have."""
    show(*values)


def clear_output(wait: bool = False) -> None:
    """Do nothing: what was shown stays."""


class _Shown:
    """Content of one MIME type, given as data or as the name of a file."""

    mime = "text/plain"
    binary = False

    def __init__(self, data: Any = None, filename: str | None = None, **_: Any) -> None:
        if data is None and filename is not None:
            with open(filename, "rb") as file:
                data = file.read()
        self.data = data

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        data = self.data
        if not self.binary and isinstance(data, bytes):
            data = data.decode("utf-8", "replace")
        return {self.mime: data}

    def __repr__(self) -> str:
        return f"<IPython.core.display.{type(self).__name__} object>"


def _kind(name: str, mime: str, binary: bool = False) -> Callable[..., Any]:
    return type(name, (_Shown,), {"mime": mime, "binary": binary, "__module__": __name__})


HTML = _kind("HTML", "text/html")
Markdown = _kind("Markdown", "text/markdown")
Latex = _kind("Latex", "text/latex")
Math = _kind("Math", "text/latex")
SVG = _kind("SVG", "image/svg+xml")
Pretty = _kind("Pretty", "text/plain")
PNG = _kind("PNG", "image/png", True)
JPEG = _kind("JPEG", "image/jpeg", True)


class Image(_Shown):
    """A PNG or JPEG image."""

    binary = True

    def __init__(self, data: Any = None, filename: str | None = None, **options: Any) -> None:
        super().__init__(data, filename, **options)
        self.mime = "image/jpeg" if bytes(self.data or b"")[:2] == b"\xff\xd8" else "image/png"


class JSON(_Shown):
    """Data as JSON."""

    mime = "application/json"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        import json

        return {self.mime: self.data if isinstance(self.data, str) else json.dumps(self.data, default=str)}
