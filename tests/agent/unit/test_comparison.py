"""The comparison's rows name tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_of_what_is_there_names_a_test() -> None:
    there = TEXT.partition("## Theirs, and not here")[0]
    rows = [line for line in there.splitlines() if line.startswith("| ") and "shown by" not in line]
    assert len(rows) == len(NAMED) > 40
