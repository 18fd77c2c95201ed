"""``cloche info`` against the files it speaks of."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cloche.runtime.wasm.image import DEFAULT_IMAGE

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_facts_are_those_of_the_image(cloche: Run) -> None:
    facts = json.loads(cloche("info", "--json").stdout)
    module = Path(DEFAULT_IMAGE).read_bytes()
    assert facts["image"]["sha256"] == hashlib.sha256(module).hexdigest()
    assert facts["image"]["size"] == len(module)
    assert facts["image"]["matches manifest"] == "yes"
    assert sorted(facts["imports"]) == [f"cloche.{name}" for name in ("call", "clock", "entropy", "take", "write")]
    assert not any("unknown" in purpose for purpose in [*facts["imports"].values(), *facts["exports"].values()])
    assert facts["versions"]["guest python"].startswith("3.13.")


def test_the_text_says_the_same(cloche: Run, tmp_path: Path) -> None:
    told = cloche("info", CLOCHE_CACHE=str(tmp_path / "nowhere")).stdout
    for section in ("versions", "image", "imports", "exports", "cache", "limits"):
        assert f"{section}\n" in told
    assert f"folder           {tmp_path / 'nowhere' / 'compiled'}\n" in told
    assert not (tmp_path / "nowhere").exists()


def test_it_needs_no_rich(cloche: Run, folder: Path) -> None:
    (folder / "rich.py").write_text("raise ImportError('rich is not here')\n")
    done = cloche("info")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "name", ["cpython", "msgpack", "zlib", "bzip2", "xz", "tzdata", "wasi-libc", "zig-compiler-rt"]
)
def test_the_licence_of_everything_inside(cloche: Run, name: str) -> None:
    done = cloche("info", "--licenses")
    assert done.returncode == 0
    assert f"\n{name}\n{'=' * 78}\n" in done.stdout
