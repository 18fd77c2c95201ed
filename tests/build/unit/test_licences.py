from pathlib import Path

from recipe.licences import LicensedWork


def text_of(*files: Path) -> str:
    return LicensedWork("thing", "1", "blessing", "https://example.org", files).text()


def test_a_licence_is_its_files_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "A").write_text("one */ two\n\n")
    (tmp_path / "B").write_text("three")
    assert text_of(tmp_path / "A", tmp_path / "B") == "one */ two\n\nthree\n"


def test_of_a_c_file_only_the_first_comment_is_a_licence(tmp_path: Path) -> None:
    (tmp_path / "thing.h").write_text("/* May you do good. */\nint f(void); /* not this */\n")
    assert text_of(tmp_path / "thing.h") == "/* May you do good. */\n"
