"""The host in C: compiled without a warning, and its declarations of Python's interface against the real ones."""

import re
import sysconfig
from pathlib import Path

import pytest

from recipe import host
from recipe.workspace import BuildError


@pytest.fixture(autouse=True)
def only_where_it_is_built() -> None:
    try:
        host.here()
    except BuildError as error:
        pytest.skip(str(error))


def test_its_declarations_are_those_of_python(tmp_path: Path) -> None:
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file() or headers.is_relative_to("/usr/include"):
        pytest.skip("Python's headers are not here, or among those of the whole system")
    here = host.here()
    host.compile_host(["-shared", "-DCLOCHE_REAL_HEADERS", "-I", headers, "-o", tmp_path / here.file], here)


def test_what_is_in_use_is_what_is_built() -> None:
    found = host.built(host.here())
    place = host.PLACE / found.name
    if not place.exists():
        pytest.skip("this checkout was not built")
    assert place.read_bytes() == found.read_bytes(), "its sources have changed: make guest"


def test_it_is_less_than_1500_lines_of_code() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in host.SOURCES.iterdir())
    lines = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).splitlines()
    assert sum(map(bool, map(str.strip, lines))) < 1_500
