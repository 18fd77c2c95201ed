from __future__ import annotations

from pathlib import Path

import pytest

from recipe import patching
from recipe.inputs import BUILD
from recipe.workspace import BuildError

SOURCE = "".join(f"line {n}\n" for n in range(1, 21))
PATCH = """\
Why: the fourth line is wrong, and the end lacks one.
--- a/dir/file.txt
+++ b/dir/file.txt
@@ -3,3 +3,4 @@
 line 3
-line 4
+line four
+line four and a half
 line 5
@@ -20 +21,2 @@
 line 20
+line 21
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/file.txt").write_text(SOURCE)
    (tmp_path / "0001-fix.patch").write_text(PATCH)
    return tmp_path


def test_hunks_are_applied_where_they_belong(tree: Path) -> None:
    patching.apply(tree / "0001-fix.patch", tree)
    lines = (tree / "dir/file.txt").read_text().splitlines()
    assert lines[2:6] == ["line 3", "line four", "line four and a half", "line 5"]
    assert lines[-2:] == ["line 20", "line 21"]


def test_a_hunk_that_does_not_fit_changes_nothing_and_says_where(tree: Path) -> None:
    (tree / "dir/file.txt").write_text(SOURCE.replace("line 20", "other"))
    before = (tree / "dir/file.txt").read_text()
    with pytest.raises(BuildError, match=r"dir/file\.txt: the hunk for 20 does not fit"):
        patching.apply(tree / "0001-fix.patch", tree)
    assert (tree / "dir/file.txt").read_text() == before


def test_a_patch_without_a_reason_is_refused(tree: Path) -> None:
    (tree / "0001-fix.patch").write_text(PATCH.replace("Why:", "Note:"))
    with pytest.raises(BuildError, match="does not say why"):
        patching.apply(tree / "0001-fix.patch", tree)


def test_patches_are_taken_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "cpython").mkdir()
    for name in ("0010-b.patch", "0002-a.patch"):
        (tmp_path / "cpython" / name).touch()
    assert [p.name for p in patching.patches_for("cpython", tmp_path)] == ["0002-a.patch", "0010-b.patch"]


def test_every_patch_in_the_repository_says_why() -> None:
    for patch in sorted((BUILD / "patches").rglob("*.patch")):
        assert patching.reasons(patch)
