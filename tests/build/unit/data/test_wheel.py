"""The data image as a wheel: pip installs it, its image is found by name, and the same image gives the same bytes."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cloche.runtime import images
from recipe.data import wheel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image = tmp_path / "image"
    (image / "licenses").mkdir(parents=True)
    (image / "cloche.wasm").write_bytes(b"\0asm" + bytes(2_000))
    (image / "cloche.json").write_text("{}")
    (image / "licenses" / "numpy.txt").write_text("BSD")
    return image


def test_the_same_image_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    first, second = (wheel.write(folder, tmp_path / name, "1.2") for name in ("a", "b"))
    assert first.name == "cloche_data-1.2-py3-none-any.whl"
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 2_000
    names = zipfile.ZipFile(first).namelist()
    assert "cloche_data/images/data/licenses/numpy.txt" in names
    assert names[-1] == "cloche_data-1.2.dist-info/RECORD"


def test_what_pip_installs_is_found_by_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, target = wheel.write(folder, tmp_path, "1.2"), tmp_path / "site"
    options = ("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--disable-pip-version-check", "--target")
    subprocess.run([sys.executable, *options, str(target), str(made)], check=True, capture_output=True)
    assert target / "cloche_data" / "images" not in images._homes()  # pyright: ignore[reportPrivateUsage]
    monkeypatch.syspath_prepend(target)
    home = target / "cloche_data" / "images"
    assert home in images._homes()  # pyright: ignore[reportPrivateUsage]
    assert home / "data" in images._places("data")  # pyright: ignore[reportPrivateUsage]
