import re
from pathlib import Path

import pytest

from cloche.bench.metrics import METRICS, chosen
from cloche.bench.peers import choose
from cloche.bench.tasks.crowd import SESSIONS
from cloche.cli.main import build_parser

TEXT = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ cloche (bench[^#\n]*)", TEXT, re.MULTILINE)


def test_every_metric_is_explained() -> None:
    named = set(re.findall(r"`([a-z]+(?:\.[a-z0-9]+)?)`", TEXT))
    missing = {name for name, metric in METRICS.items() if metric.group != "compute"} - named
    assert missing == set()
    assert SESSIONS == 1_000


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_understood(command: str) -> None:
    arguments = build_parser().parse_args(command.split())
    if arguments.names[:1] not in (["compare"], ["show"]):
        assert chosen(arguments.names)
        assert choose(arguments.against)


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 5
