import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from cloche.bench.results import load
from cloche.cli.main import main

NAMES = ["process", "fresh.ready", "session.next", "tool", "transcript", "compute.dicts", "memory", "throughput.2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One quick run of the real guest against exec: its results and its page."""
    folder = tmp_path_factory.mktemp("bench")
    paths = folder / "run.json", folder / "run.html"
    words = ["bench", *NAMES, "--quick", "--bars", "--json", str(paths[0]), "--html", str(paths[1])]
    assert main([*words, "--against", "exec"]) == 0
    return paths


def test_cloche_can_do_everything(run: tuple[Path, Path]) -> None:
    results = load(run[0])
    mine = [failure for failure in results.failures if failure.peer.startswith("cloche")]
    # Only Linux tells how much memory is private.
    assert [failure for failure in mine if failure.type != "Unsupported"] == []
    measured = {found.metric for found in results.measurements if found.peer == "cloche"}
    assert {"process", "fresh.ready", "session.next", "tool.ints", "tool.data", "tool.rows", "transcript"} <= measured
    assert {"compute.dicts", "throughput.2"} <= measured


def test_each_metering_is_measured(run: tuple[Path, Path]) -> None:
    results = load(run[0])
    peers = {found.peer for found in results.measurements if found.metric == "compute.dicts"}
    assert {"exec", "cloche", "cloche-epoch", "cloche-none"} <= peers


def test_the_results_say_where_they_come_from(run: tuple[Path, Path]) -> None:
    results = load(run[0])
    assert results.quick
    assert results.machine.cores > 0
    assert len(results.image) == 64
    cloche = next(peer for peer in results.peers if peer.name == "cloche")
    assert "wasmtime" in cloche.versions


def test_the_file_is_plain_json_and_the_page_is_whole(run: tuple[Path, Path]) -> None:
    assert json.loads(run[0].read_text(encoding="utf-8"))["format"] == 1
    ElementTree.fromstring(run[1].read_text(encoding="utf-8").replace("<!DOCTYPE html>", ""))
