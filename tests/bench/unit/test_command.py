import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cloche.bench.results import Results, save
from cloche.cli.main import main

MakeResults = Callable[..., Results]


@pytest.fixture
def files(make_results: MakeResults, tmp_path: Path) -> list[str]:
    """Two results; fresh isolates are twice as slow in the second."""
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, seconds in zip(paths, (1e-3, 2e-3), strict=True):
        rounds = [[seconds] * 5] * 4
        save(make_results({("fresh.ready", "exec"): [[1e-5] * 20], ("fresh.ready", "cloche"): rounds}), path)
    return [str(path) for path in paths]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["bench", *words]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert "Traceback" not in said.err
    return said.err


def test_compare(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "compare", *files]) == 0
    text = capsys.readouterr().out
    assert "worse" in text
    assert "2.00" in text
    assert "1.00 times its time" in text


def test_compare_a_run_with_itself(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "compare", files[0], files[0]]) == 0
    assert "nothing changed beyond noise" in capsys.readouterr().out


def test_show_an_earlier_run(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html = tmp_path / "page.html"
    assert main(["bench", "show", files[0], "--html", str(html)]) == 0
    assert "1.00 ms" in capsys.readouterr().out
    assert html.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_markdown(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "show", files[0], "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("<!-- bench:begin -->")


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "schema"]) == 0
    assert "measurements" in json.loads(capsys.readouterr().out)["properties"]


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--list"]) == 0
    text = capsys.readouterr().out
    assert "fresh.ready" in text
    assert "pyeryx" in text


def test_what_is_wrong_is_named(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    assert "'warp'" in refused(capsys, "warp")
    assert "'docker'" in refused(capsys, "fresh", "--against", "docker")
    assert "absent" in refused(capsys, "fresh", "--baseline", "absent")
    assert "compare A.json B.json" in refused(capsys, "compare", files[0])
    assert "bad.json" in refused(capsys, "compare", files[0], str(bad))
    assert "gone.json" in refused(capsys, "show", str(tmp_path / "gone.json"))
    assert "no folder" in refused(capsys, "fresh", "--json", str(tmp_path / "nowhere" / "a.json"))


def test_a_peer_asked_for_by_name_must_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused_with_progress(capsys, "fresh.ready", "--against", f"monty={tmp_path}/no-python")
    assert "monty" in said


def refused_with_progress(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["bench", *words, "--quick"]) == 2
    return capsys.readouterr().err
