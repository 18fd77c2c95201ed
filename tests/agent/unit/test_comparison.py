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
    tables = re.findall(r"^\|.*shown by \|\n\|[-|]+\n((?:\|.*\n?)+)", TEXT, re.M)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) == len(NAMED) > 70
    assert all(len(re.findall(r"`tests/[\w/]+\.py::\w+`", row)) == 1 for row in rows)
