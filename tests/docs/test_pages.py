"""What the pages say of the code is what the code says."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from cloche import Limits
from cloche.runtime import errors
from cloche.runtime.errors import bytes_text, count_text
from cloche.runtime.wasm.engine import MAX_WASM_STACK
from cloche.runtime.wasm.stack import HOST_ROOM

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INDEX = ROOT / "docs" / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
# What the build makes, or a tool.
MADE = {"runtime/image/cloche.json", "runtime/image/cloche.wasm"}
SIZES = {"memory", "output", "result", "displays", "argument", "file_bytes", "host_memory"}

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]*)\|", re.M)
_DECISION = re.compile(r"^\d{3}-[a-z0-9-]+\.md$")
_STATUS = re.compile(r"^(Accepted|Superseded by \[\d{3}\]\([^)]+\)|Changed by \[\d{3}\]\([^)]+\)), \d{4}-\d{2}-\d{2}\.")
_INDEXED = re.compile(r"^\| \[([^\]]+)\]\(([^)]+)\) \| [^|]* \| (.+) \|$", re.M)
_EXTRAS = re.compile(r"cloche\[([\w,]+)\]")
_PATH = re.compile(
    r"`((?:agent|bench|build|cli|docs|examples|guest|host_tools|integrations|runtime|serve|src|tests)/[\w./-]+|\.ci/\w+)(?:::\w+)?`"
)


def shown(name: str, value: float | None) -> str:
    """Return a limit's default as the table writes it."""
    if value is None:
        return "none"
    if name == "time":
        return f"{value:g} s"
    return bytes_text(value) if name in SIZES else count_text(value)


def rows() -> Iterator[tuple[str, str, str]]:
    """Return name, default and error of each limit in README's table."""
    table = README[README.index("| limit | default |") :].partition("\n\n")[0]
    for name, default, error in _ROW.findall(table):
        yield name, default.strip(), error.strip()


def test_the_limits_table_has_every_limit_with_its_default() -> None:
    defaults = Limits()
    expected = {field.name: shown(field.name, getattr(defaults, field.name)) for field in fields(Limits)}
    assert {name: default for name, default, _ in rows()} == expected


def test_the_limits_table_names_real_errors() -> None:
    named = {name for _, _, error in rows() for name in re.findall(r"`(\w+)`", error)}
    typed = {name for name in named if hasattr(errors, name)}
    assert {"FuelExhausted", "TimeExceeded", "MemoryExceeded", "OutputExceeded", "CallsExceeded"} <= typed
    assert named - typed <= {"MemoryError", "OSError", "RuntimeError", "TypeError", "ValueError"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        place = target.partition("#")[0]
        if place and "://" not in place:
            assert (page.parent / place).exists(), target


def test_decisions_are_numbered_and_have_a_title_a_status_and_a_date() -> None:
    files = sorted(file for file in (ROOT / "docs" / "decisions").glob("*.md") if file.name != "README.md")
    assert [int(file.name[:3]) for file in files] == list(range(1, len(files) + 1))
    for file in files:
        assert _DECISION.match(file.name)
        title, _, status = file.read_text(encoding="utf-8").split("\n", 3)[:3]
        assert title.startswith(f"# {file.name[:3]}: "), file.name
        assert _STATUS.match(status), file.name


def test_the_index_of_decisions_has_each_with_its_title_and_status() -> None:
    folder = ROOT / "docs" / "decisions"
    rows = {name: (title, status) for title, name, status in _INDEXED.findall((folder / "README.md").read_text())}
    for file in sorted(folder.glob("[0-9]*.md")):
        title, _, status = file.read_text(encoding="utf-8").split("\n", 3)[:3]
        stated = _STATUS.match(status)
        assert stated is not None
        assert rows[file.name] == (title[2:], stated[1]), file.name


def test_the_benchmark_table_has_its_place() -> None:
    assert README.count("<!-- bench:begin -->") == README.count("<!-- bench:end -->") == 1
    assert README.index("<!-- bench:begin -->") < README.index("<!-- bench:end -->")


def test_every_page_is_reached_from_the_index_and_the_index_from_the_readme() -> None:
    assert "docs/README.md" in _LINK.findall(README)
    targets = (target.partition("#")[0] for target in _LINK.findall(INDEX.read_text(encoding="utf-8")))
    linked = {(INDEX.parent / target).resolve() for target in targets if target and "://" not in target}
    folders = {"decisions", "reference"}
    pages = {page.resolve() for page in (ROOT / "docs").rglob("*.md") if page.parent.name not in folders}
    assert pages - {INDEX.resolve()} <= linked
    assert {(ROOT / "docs" / folder / "README.md").resolve() for folder in folders} <= linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_path_of_the_repository_that_a_page_names_exists(page: Path) -> None:
    named = {path for path in _PATH.findall(page.read_text(encoding="utf-8")) if "*" not in path}
    assert {path for path in named if not (ROOT / path).exists()} - MADE == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_extra_that_a_page_names_exists(page: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {extra for extras in _EXTRAS.findall(page.read_text(encoding="utf-8")) for extra in extras.split(",")}
    assert named <= set(project["optional-dependencies"])


def test_the_guide_names_the_stack_that_a_guest_needs() -> None:
    needed = (MAX_WASM_STACK + HOST_ROOM) / (1 << 20)
    guide = (ROOT / "docs" / "guides" / "embedding.md").read_text(encoding="utf-8")
    assert f"A guest needs {needed:g} MiB of stack." in guide
