"""The page on the architecture is true of the tree: it names nothing that is gone, and misses no product folder."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PRODUCT = ("agent", "bench", "build", "cli", "guest", "host_tools", "integrations", "runtime", "serve", "src/cloche")

_ROW = re.compile(r"^\| `([\w./]+/)` \| (.+) \|$", re.M)
_NAMED = re.compile(r"`([\w.]+/[\w./]*)`")
_WORD = re.compile(r"^\| ([^|`]+?) \| ([^|]+) \|$", re.M)


def map_rows() -> dict[str, str]:
    """Return each folder of the map with its line."""
    section = PAGE[PAGE.index("## Map of the folders") : PAGE.index("## Life of a run")]
    return dict(_ROW.findall(section))


def glossary() -> list[str]:
    """Return the glossary's words."""
    section = PAGE[PAGE.index("## Glossary") :]
    words = [word for words, _ in _WORD.findall(section) for word in words.split(", ")]
    return [word for word in words if word not in {"word", "---"}]


def product_folders() -> set[str]:
    """Return the folders of the product that hold files, as git knows them; ``x/`` for each."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PRODUCT]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    files = [ROOT / line for line in listed.splitlines()]
    return {
        f"{file.parent.relative_to(ROOT).as_posix()}/" for file in files if file.is_file() and not file.is_symlink()
    }


def test_every_folder_of_the_product_is_in_the_map() -> None:
    # `build/` itself holds the pinned inputs only, and is in the layers.
    assert product_folders() - set(map_rows()) <= {"build/"}


def test_every_file_and_folder_that_the_page_names_exists() -> None:
    named = _NAMED.findall(PAGE)
    assert len(named) > 80
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_walks_name_their_modules() -> None:
    for title, least in (("run", 10), ("tool call", 8), ("snapshot", 6), ("an agent's step", 8)):
        heading = f"## Life of {title}" if title.startswith("an") else f"## Life of a {title}"
        walk = PAGE[PAGE.index(heading) :].split("\n## ")[0]
        modules = {name for name in _NAMED.findall(walk) if name.endswith((".py", ".c"))}
        assert len(modules) >= least, title


def test_the_glossary_has_one_row_per_word() -> None:
    words = glossary()
    assert len(words) > 60
    assert sorted(words) == sorted(set(words))


def test_every_class_that_the_page_names_is_one() -> None:
    classes = {
        name
        for folder in PRODUCT
        for file in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"^ *class (\w+)", file.read_text(encoding="utf-8"), re.M)
    }
    named = set(re.findall(r"`([A-Z]\w*[a-z]\w*)`", PAGE))
    assert len(named) > 15
    assert named - classes == set()
