"""Generated programs run by CPython and in the guest: what they show has to be the same."""

import itertools
import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from cloche import Limits, Sandbox

__all__ = ["LIMITS", "Difference", "differences", "is_near", "native_python"]

INSIDE = Path(__file__).with_name("inside_differential.py")
LIMITS = Limits(fuel=None, time=600, result="64 MiB", memory="1 GiB")
_BATCH = 250
_SERVE = """
import json, sys
for line in sys.stdin:
    print(json.dumps(all_shown(json.loads(line))), flush=True)
"""


class Difference(NamedTuple):
    """A program, and what it shows in CPython and in the guest."""

    program: str
    native: str
    guest: str

    @property
    def reason(self) -> str:
        """Why it is no fault; empty if that is not known."""
        pairs = list(itertools.zip_longest(self.native.splitlines(), self.guest.splitlines(), fillvalue=""))
        reasons = {_reason(one, other) for one, other in pairs if one != other}
        return "" if "" in reasons else "; ".join(sorted(reasons))


_FLOAT = re.compile(r"-?[0-9]+\.?[0-9]*(?:e[-+]?[0-9]+)?")
_LAST_PLACES = 4e-16


def _reason(native: str, guest: str) -> str:
    if native.startswith("OverflowError: ") and guest.startswith("OverflowError: "):
        return "a number that is too large for C is so at 32 bits, and another function says it"
    here, there = _FLOAT.findall(native), _FLOAT.findall(guest)
    same_text = _FLOAT.sub("0", native) == _FLOAT.sub("0", guest)
    if same_text and all(is_near(float(one), float(other)) for one, other in zip(here, there, strict=True)):
        return "the last place of a floating-point function of the C library"
    return ""


def is_near(one: float, other: float) -> bool:
    return one == other or abs(one - other) <= _LAST_PLACES * max(abs(one), abs(other))


def native_python() -> Path | None:
    """Return a CPython of the guest's version on this machine, in which time is UTC; None if there is none."""
    for python in ("python3.13", *map(str, Path.home().glob(".pyenv/versions/3.13.*/bin/python3.13"))):
        try:
            done = subprocess.run(
                [python, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=False
            )
        except OSError:
            continue
        if done.returncode == 0:
            return Path(done.stdout.strip())
    return None


def differences(
    python: Path,
    drawn: Iterable[str],
    inside: Path = INSIDE,
    sandbox: Sandbox | None = None,
) -> Iterator[Difference]:
    """Yield the programs that show something else in the guest than in this CPython.

    ``inside`` is what runs them on both sides; ``sandbox`` is of the core image by default.
    """
    source = inside.read_text(encoding="utf-8")
    environment = {"TZ": "UTC", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "HOME": "/work"}
    native = subprocess.Popen(
        [python, "-c", source + _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert native.stdin is not None
    assert native.stdout is not None
    left = iter(drawn)
    with native, (sandbox or Sandbox(limits=LIMITS, metering="epoch")).session() as session:
        session.run(source).unwrap()
        while batch := list(itertools.islice(left, _BATCH)):
            native.stdin.write(json.dumps(batch) + "\n")
            native.stdin.flush()
            session.set("sources", batch)
            there = session.run("all_shown(sources)").unwrap()
            here = json.loads(native.stdout.readline())
            for program, one, other in zip(batch, here, there, strict=True):
                if one != other:
                    yield Difference(program, one, other)
        native.stdin.close()
