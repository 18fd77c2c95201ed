"""A native Python with the data image's packages, of the same versions: made once, in the build's cache."""

import subprocess
from importlib import metadata
from pathlib import Path

from tests.conformance.differential import native_python

from recipe import inputs
from recipe.workspace import cache_root, digest_of, fresh, step

__all__ = ["VERSIONS", "known", "made"]

_WANTED = ("numpy", "pandas", "openpyxl", "jinja2", "tabulate", "beautifulsoup4", "html5lib", "pytz", "python-dateutil")
_PINS = inputs.load(inputs.DATA) | inputs.load_wheels()
VERSIONS = {name: _PINS[name].version for name in _WANTED if name in _PINS}
"""The packages by name, with the versions that the image has."""
# With Cloche's codec in it values can be written and read there.
_ASKED = [f"{name}=={version}" for name, version in VERSIONS.items()] + [f"msgpack=={metadata.version('msgpack')}"]
_KEY = digest_of(*_ASKED)


def _python(folder: Path) -> Path:
    return folder / "environment" / "bin" / "python"


def known() -> Path | None:
    """Return its interpreter if it is there already, else None."""
    folder = cache_root() / f"native-data-{_KEY}"
    return _python(folder) if (folder / ".done").exists() else None


def made() -> Path | None:
    """Return its interpreter, and make it if need be, with pip; None without a CPython 3.13 on this machine."""
    python = native_python()
    if python is None:
        return None

    def work(folder: Path) -> None:
        subprocess.run([python, "-m", "venv", fresh(folder) / "environment"], check=True)
        subprocess.run([_python(folder), "-m", "pip", "install", "-q", *_ASKED], check=True)

    return _python(step("native-data", _KEY, work))
