from __future__ import annotations

from pathlib import Path

import pytest

from recipe import workspace


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOCHE_BUILD_CACHE", str(tmp_path))
    return tmp_path


def test_a_step_that_is_done_is_not_done_again() -> None:
    done: list[Path] = []
    first = workspace.step("link", "abc", done.append)
    assert workspace.step("link", "abc", done.append) == first
    assert len(done) == 1


def test_a_step_that_failed_is_begun_again() -> None:
    def fail(folder: Path) -> None:
        (folder / "log").write_text("half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        workspace.step("link", "abc", fail)
    done: list[Path] = []
    workspace.step("link", "abc", done.append)
    assert done


def test_the_key_depends_on_how_parts_are_cut() -> None:
    assert workspace.digest_of("ab", "c") != workspace.digest_of("a", "bc")
