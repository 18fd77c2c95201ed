"""The pinned inputs of the guest, read from `inputs.toml`, and those of the data image, from `data.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUILD = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Debian:
    """Where Debian keeps the same bytes: source package, suite, file name."""

    package: str
    suite: str
    file: str


@dataclass(frozen=True)
class Input:
    """One source archive: what it is, what its bytes are, where they can be had."""

    name: str
    version: str
    file: str
    size: int
    sha256: str
    licence: str = ""
    licence_file: str = ""
    home: str = ""
    urls: tuple[str, ...] = ()
    index: str | None = None
    debian: Debian | None = None


def _input(name: str, entry: dict[str, Any]) -> Input:
    debian = Debian(**entry.pop("debian")) if "debian" in entry else None
    return Input(name=name, urls=tuple(entry.pop("urls")), debian=debian, **entry)


DATA = BUILD / "data.toml"
"""The pins of the data image, beside those of the core image."""


WHEELS = BUILD / "wheels.toml"
"""The pins of its packages in pure Python."""


def load_wheels() -> dict[str, Input]:
    """Read the pins of wheels. What else there is to know of them stands in them."""
    return {
        name: Input(name, index=f"{name}=={entry['version']}", **entry)
        for name, entry in tomllib.loads(WHEELS.read_text()).items()
    }


def load(path: Path = BUILD / "inputs.toml") -> dict[str, Input]:
    """Read the pins, by name, in the order of the file."""
    return {name: _input(name, entry) for name, entry in tomllib.loads(path.read_text()).items()}
