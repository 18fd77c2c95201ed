"""Packages for images: found by pip, taken apart here, and never run outside of a guest.

Only wheels are taken. What a wheel holds is data of strangers: names and sizes are checked before anything is used.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.parser import HeaderParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlparse

from cloche.runtime.errors import ImageError, PackageRefused

__all__ = ["Resolution", "read_wheel", "resolve"]

PYTHON = "3.13"
"""The guest's."""
# Where a wheel's tags say nothing of a machine, it is pure. The others are looked at only to say what is wrong.
_PURE = (
    "--only-binary",
    ":all:",
    "--python-version",
    PYTHON,
    "--implementation",
    "py",
    "--abi",
    "none",
    "--platform",
    "any",
)
_MACHINES = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_24_x86_64", "manylinux_2_28_x86_64")
_ANY = (
    *("--only-binary", ":all:", "--python-version", PYTHON, "--implementation", "cp"),
    *("--abi", f"cp{PYTHON.replace('.', '')}", "--abi", "abi3", "--abi", "none", "--platform", "any"),
    *(word for machine in _MACHINES for word in ("--platform", machine)),
)
_COMPILED = (".so", ".pyd", ".dylib", ".dll")
_WITHOUT_COMPILED = frozenset(
    {"charset-normalizer", "fonttools", "markupsafe", "pyyaml", "simplejson", "sqlalchemy", "wrapt"}
)
"""Packages whose compiled modules only make them faster: they have the same in Python."""
_LICENCE_NAMES = re.compile(r"(licen[cs]e|copying|notice|authors)", re.I)
# Bytes and files of all packages together, once unpacked.
_MAX_BYTES, _MAX_FILES = 1 << 30, 100_000


class Wheel(NamedTuple):
    """One package: its facts for the manifest, its files by their places, its top modules, and its licence's text."""

    facts: dict[str, str]
    files: dict[str, bytes]
    top_modules: list[str]
    licence: str


class Resolution(NamedTuple):
    """All packages of an image: their files, the top modules of those that were asked for, facts and licences."""

    files: dict[str, bytes]
    top_modules: list[str]
    facts: list[dict[str, str]]
    licences: dict[str, str]


class _Choice(NamedTuple):
    """What pip has chosen: one file of one package."""

    name: str
    version: str
    url: str
    sha256: str
    is_asked_for: bool

    @property
    def file(self) -> str:
        return unquote(Path(urlparse(self.url).path).name)


def resolve(
    requirements: Iterable[str],
    present: Mapping[str, str],
    without_compiled: Iterable[str],
    pip_options: Sequence[str],
    tell: Callable[[str], None],
) -> Resolution:
    """Return the packages that these requirements come to, less those that the base has: ``present``, with versions.

    Raises PackageRefused for what is not pure, ImageError with pip's words where it finds nothing that fits.
    """
    asked = list(requirements)
    if not asked:
        return Resolution({}, [], [], {})
    optional = _WITHOUT_COMPILED | {_normal(name) for name in without_compiled}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        choices = [each for each in _choices(asked, present, pip_options, folder) if _normal(each.name) not in present]
        tell(f"resolved to {', '.join(f'{each.name} {each.version}' for each in choices) or 'nothing new'}")
        return _joined([(each, _wheel(each, optional, pip_options, folder)) for each in choices])


def _choices(asked: list[str], present: Mapping[str, str], options: Sequence[str], folder: Path) -> list[_Choice]:
    constraints, report = folder / "constraints.txt", folder / "report.json"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in present.items()))
    target = ["--target", str(folder / "target"), "--dry-run", "--ignore-installed", "--report", str(report)]
    _pip("install", *target, "-c", str(constraints), *_ANY, *options, *asked)
    return [_choice(item) for item in json.loads(report.read_text("utf-8"))["install"]]


def _choice(item: Any) -> _Choice:
    facts, origin = item["metadata"], item["download_info"]
    hashes = origin.get("archive_info", {}).get("hashes", {})
    return _Choice(facts["name"], facts["version"], origin["url"], hashes.get("sha256", ""), bool(item["requested"]))


def _wheel(choice: _Choice, optional: Iterable[str], options: Sequence[str], folder: Path) -> Wheel:
    drop = _normal(choice.name) in optional
    is_pure = choice.file.endswith("-none-any.whl")
    if is_pure or drop:
        return read_wheel(_fetched(choice, _PURE if is_pure else _ANY, options, folder), drop_compiled=drop)
    # pip prefers the wheel for a machine to a pure one of the same version.
    try:
        path = _downloaded(choice, _PURE, options, folder)
    except ImageError:
        raise PackageRefused(
            f"{choice.name} {choice.version}",
            f"it has compiled modules ({choice.file}), which no guest can load. Take another package, an image that "
            "has it, or name it in without_compiled if it also works without them",
        ) from None
    return read_wheel(path)


def _fetched(choice: _Choice, kind: Sequence[str], options: Sequence[str], folder: Path) -> Path:
    parts = urlparse(choice.url)
    is_here = parts.scheme == "file"
    path = Path(unquote(parts.path)) if is_here else _downloaded(choice, kind, options, folder)
    if choice.sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != choice.sha256:
        raise ImageError(f"{path.name} is not the file that the index announced: its SHA-256 is another one")
    return path


def _downloaded(choice: _Choice, kind: Sequence[str], options: Sequence[str], folder: Path) -> Path:
    place = folder / _normal(choice.name)
    _pip("download", "--no-deps", "--dest", str(place), *kind, *options, f"{choice.name}=={choice.version}")
    (path,) = place.iterdir()
    return path


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module named pip" in line]
        raise ImageError("pip found no packages for the image:\n" + "\n".join(lines or done.stderr.splitlines()[-5:]))


def read_wheel(path: Path, *, drop_compiled: bool = False) -> Wheel:
    """Return what is in a wheel: modules and data for site-packages, without tests, scripts and bytecode.

    Raises PackageRefused for one with compiled modules, unless they are dropped, or with names or sizes that no wheel
    has.
    """
    label = path.name.partition("-")[0]
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > _MAX_BYTES or len(entries) > _MAX_FILES:
                raise PackageRefused(label, f"it is larger than {_MAX_BYTES} bytes or {_MAX_FILES} files")
            content = {place: archive.read(entry) for entry in entries if (place := _place(label, entry.filename))}
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise PackageRefused(label, f"its wheel cannot be read: {error}") from None
    compiled = sorted(name for name in content if name.endswith(_COMPILED))
    if compiled and not drop_compiled:
        raise PackageRefused(label, f"it has the compiled module {compiled[0]}, which no guest can load")
    return _taken_apart(label, path, {name: data for name, data in content.items() if name not in compiled})


def _place(label: str, name: str) -> str:
    """Return where a wheel's file is placed, empty for one that is not."""
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or "\0" in name or {"", ".", ".."} & set(parts):
        raise PackageRefused(label, f"its wheel has a file of the impossible name {name[:100]!r}")
    if parts[0].endswith(".data"):
        parts = parts[2:] if len(parts) > 2 and parts[1] in ("purelib", "platlib") else []
    if "tests" in parts or "__pycache__" in parts or not parts or parts[-1].endswith((".pyc", ".pyi")):
        return ""
    return "/".join(parts)


def _taken_apart(label: str, path: Path, files: dict[str, bytes]) -> Wheel:
    found = [name for name in files if name.endswith(".dist-info/METADATA") and name.count("/") == 1]
    if len(found) != 1:
        raise PackageRefused(label, "its wheel has no metadata")
    about = HeaderParser().parsestr(files[found[0]].decode("utf-8", "replace"))
    info = found[0].removesuffix("METADATA")
    texts = [files[name].decode("utf-8", "replace") for name in sorted(files) if _is_licence(name, info)]
    facts = {
        "name": _normal(about["Name"] or label),
        "version": str(about["Version"]),
        "licence": _licence_of(about),
        "url": str(about["Home-page"] or _first_url(about) or ""),
        "index": "python",
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    tops = {name.split("/")[0].removesuffix(".py") for name in files if name.endswith(".py") and name.count("/") < 2}
    public = sorted(name for name in tops if name.isidentifier() and not name.startswith("_"))
    return Wheel(facts, files, public, "\n\n".join(texts) or f"{facts['licence']}\n")


def _is_licence(name: str, info: str) -> bool:
    return name.startswith(info) and _LICENCE_NAMES.search(name.rpartition("/")[2]) is not None


def _licence_of(about: Any) -> str:
    said = about["License-Expression"] or about["License"] or ""
    if said and "\n" not in said and len(said) <= 100:
        return str(said)
    prefix = "License :: "
    classes = [each.rpartition(" :: ")[2] for each in about.get_all("Classifier", []) if each.startswith(prefix)]
    return ", ".join(classes) or "not stated"


def _first_url(about: Any) -> str:
    return next((each.partition(",")[2].strip() for each in about.get_all("Project-URL", [])), "")


def _joined(wheels: Sequence[tuple[_Choice, Wheel]]) -> Resolution:
    files: dict[str, bytes] = {}
    for choice, wheel in wheels:
        twice = files.keys() & wheel.files.keys()
        if twice:
            raise PackageRefused(choice.name, f"another package has the file {min(twice)} as well")
        files |= wheel.files
    tops = [name for choice, wheel in wheels if choice.is_asked_for for name in wheel.top_modules]
    ordered = sorted((wheel for _, wheel in wheels), key=lambda wheel: wheel.facts["name"])
    licences = {wheel.facts["name"]: wheel.licence for wheel in ordered}
    return Resolution(files, tops, [wheel.facts for wheel in ordered], licences)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
