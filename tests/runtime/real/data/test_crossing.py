"""Frames by chance cross from native pandas to the guest's, and back, with all that they are."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.data import native

import cloche
from cloche import Image, Sandbox, Session

HERE = Path(__file__).parent
SEEDS = range(60)
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def session(image: Image) -> Iterator[Session]:
    with Sandbox(image=image).session() as session:
        session.run("import numpy, pandas").unwrap()
        session.run((HERE / "frames.py").read_text("utf-8")).unwrap()
        session.run("from cloche_guest.values import decode, encode").unwrap()
        yield session


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    python = native.known()
    if python is None:
        pytest.skip("there is no native Python with the packages: make conformance-data makes one")
    path = str(Path(cloche.__file__).parents[1])
    command = [python, HERE / "crossing.py"]
    environment = {"PYTHONPATH": path, "TZ": "UTC"}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def asked(*words: Any) -> Any:
        stdin.write(json.dumps(words) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())

    with process:
        yield asked
        stdin.close()


def test_what_a_host_writes_the_guest_reads(session: Session, ask: Ask) -> None:
    session.set("written", {seed: bytes.fromhex(ask("write", seed)) for seed in SEEDS})
    found = session.run("{seed: differ(made(seed), decode(data)) for seed, data in written.items()}").unwrap()
    assert {seed: text for seed, text in found.items() if text} == {}


def test_what_the_guest_writes_a_host_reads(session: Session, ask: Ask) -> None:
    written = session.run(f"{{seed: encode(made(seed)) for seed in range({len(SEEDS)})}}").unwrap()
    found = {seed: ask("read", seed, data.hex()) for seed, data in written.items()}
    assert {seed: text for seed, text in found.items() if text} == {}


def test_a_difference_is_seen(session: Session) -> None:
    program = "f = pd.DataFrame({'a': [1, 2]})\ndiffer(f, f.astype('int8')), differ(f, f)"
    seen, none = session.run(program).unwrap()
    assert "dtype" in seen
    assert none == ""
