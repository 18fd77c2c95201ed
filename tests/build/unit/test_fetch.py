from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from recipe import fetch, inputs
from recipe.inputs import Input
from recipe.workspace import BuildError

DATA = b"the right bytes"
RIGHT = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOCHE_BUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CLOCHE_SOURCES", str(tmp_path / "sources"))
    (tmp_path / "sources").mkdir()
    return tmp_path


def wanted(urls: tuple[str, ...] = ()) -> Input:
    return Input("thing", "1", "thing.tar", len(DATA), RIGHT, "MIT", "LICENSE", "https://example.org", urls)


def test_a_file_named_by_the_environment_is_taken(places: Path) -> None:
    (places / "sources/thing.tar").write_bytes(DATA)
    assert fetch.fetch(wanted()).read_bytes() == DATA


def test_the_next_place_is_tried_when_one_has_other_bytes(places: Path) -> None:
    (places / "sources/thing.tar").write_bytes(b"tampered")
    (places / "mirror.tar").write_bytes(DATA)
    assert fetch.fetch(wanted(((places / "mirror.tar").as_uri(),))).read_bytes() == DATA


def test_wrong_bytes_are_named_with_expected_and_got(places: Path) -> None:
    (places / "sources/thing.tar").write_bytes(b"tampered")
    got = hashlib.sha256(b"tampered").hexdigest()
    with pytest.raises(BuildError, match=rf"(?s)thing\.tar .*expected sha256 {RIGHT}.*got {got}.*CLOCHE_SOURCES"):
        fetch.fetch(wanted())
    assert not list(fetch.downloads().iterdir())


def test_a_kept_file_that_was_changed_is_fetched_again(places: Path) -> None:
    (places / "sources/thing.tar").write_bytes(DATA)
    kept = fetch.fetch(wanted())
    kept.write_bytes(b"x" * len(DATA))
    assert fetch.fetch(wanted()).read_bytes() == DATA


def test_every_input_is_fully_pinned() -> None:
    for source in inputs.load().values():
        assert len(source.sha256) == 64
        assert source.size > 0
        assert source.licence
        assert source.urls or source.index
