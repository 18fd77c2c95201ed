"""``make fuzz``: forged messages for each of the host's readers; whatever is raised untyped is a finding.

The same seed makes the same cases. A case that led to an outcome not seen before is one more to start from, and the
files in ``corpus/`` hold such cases of earlier runs, a line of base64 for each.
"""

import argparse
import base64
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from tests.hostile.mutations import Mutator
from tests.hostile.progress import progress
from tests.hostile.results import note_result
from tests.hostile.targets import TARGETS

__all__ = ["Found", "Fuzzer", "corpus_of"]

CORPUS = Path(__file__).parent / "corpus"
CASES = 10_000_000
# One case in so many has up to a million tokens.
_HUGE = 20_000
# Cases to start from; more of them would only be more of the same.
_MAX_LEARNT = 1_000
_MAX_LENGTH = 4_096
_MAX_KEPT = 80
_STEP = 1_000
# Cases that a process makes in one go.
_PART = 50_000


def corpus_of(name: str) -> list[bytes]:
    """Return a target's kept cases."""
    path = _file_of(name)
    return [base64.b64decode(line) for line in path.read_text().split()] if path.exists() else []


def _file_of(name: str) -> Path:
    return CORPUS / f"{name.replace(' ', '-')}.base64"


@dataclass
class Found:
    """What became of cases.

    ``findings`` are those whose reader raised what it may not, each with the traceback; ``slowest`` is the processor's
    seconds that one case took, and that case's bytes; ``new`` are cases that led somewhere new.
    """

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    findings: list[tuple[bytes, str]] = field(default_factory=list[tuple[bytes, str]])
    slowest: tuple[float, int] = (0.0, 0)
    new: list[bytes] = field(default_factory=list[bytes])


class Fuzzer:
    """Feeds one target, and notes what became of its cases. The same seed makes the same ones."""

    def __init__(self, name: str, seed: object) -> None:
        self.name = name
        self.found = Found()
        self._noise = random.Random(f"{seed} {name}")
        self._mutator = Mutator(self._noise)
        self._target = TARGETS[name]()

    def read_corpus(self) -> None:
        """Read the kept cases, and start from them too."""
        for case in corpus_of(self.name):
            self._read(case)
            self._target.learn(case)

    def learn(self, case: bytes) -> None:
        """Take a case as one more to start from."""
        self._target.learn(case)

    def add(self, found: Found) -> None:
        """Take over what another process has found."""
        mine = self.found
        mine.cases += found.cases
        mine.outcomes += found.outcomes
        mine.findings += found.findings
        mine.slowest = max(mine.slowest, found.slowest)
        mine.new += found.new

    def run(self, cases: int, tell: Callable[[int], object] = lambda done: None) -> None:
        """Make and read so many cases; ``tell`` is called with how many it were since the last time."""
        for number in range(1, cases + 1):
            case = self._target.make(self._mutator, self._noise, self._noise.random() * _HUGE < 1)
            is_new = self._read(case)
            if is_new and len(case) <= _MAX_LENGTH and len(self.found.new) < _MAX_LEARNT:
                self.found.new.append(case)
                self._target.learn(case)
            if number % _STEP == 0:
                tell(_STEP)
        tell(cases % _STEP)

    def keep(self) -> None:
        """Write the new cases into the corpus, as long as it is small."""
        CORPUS.mkdir(exist_ok=True)
        kept = corpus_of(self.name)
        kept += sorted(set(self.found.new) - set(kept), key=len)[: max(0, _MAX_KEPT - len(kept))]
        _file_of(self.name).write_text("".join(f"{base64.b64encode(case).decode()}\n" for case in kept))

    def _read(self, case: bytes) -> bool:
        started, found = time.thread_time(), self.found
        try:
            outcome = self._target.read(case)
        except Exception:
            found.findings.append((case, traceback.format_exc(limit=-6)))
            return False
        finally:
            found.cases += 1
            took = time.thread_time() - started
            if took > found.slowest[0]:
                found.slowest = took, len(case)
        found.outcomes[outcome] += 1
        return found.outcomes[outcome] == 1


def main() -> None:
    """Fuzz all targets, evenly; note the result where ``--note`` says so."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="over all targets; default 10,000,000")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at once; default one a processor")
    parser.add_argument("--keep", action="store_true", help="put cases that led somewhere new into the corpus")
    parser.add_argument("--note", action="store_true", help="write the result down for docs/security/attacks.md")
    asked = parser.parse_args()
    seed = random.randrange(1 << 30) if asked.seed is None else asked.seed
    fuzzers = [Fuzzer(name, seed) for name in TARGETS]
    started = time.monotonic()
    with progress("fuzzing", asked.cases) as tell, ProcessPoolExecutor(asked.jobs, get_context("spawn")) as pool:
        for fuzzer in fuzzers:
            fuzzer.read_corpus()
        share = asked.cases // len(fuzzers)
        parts = [
            pool.submit(_part, fuzzer.name, f"{seed} {number}", min(_PART, share - start))
            for number, start in enumerate(range(0, share, _PART))
            for fuzzer in fuzzers
        ]
        by_name = {fuzzer.name: fuzzer for fuzzer in fuzzers}
        for part in as_completed(parts):
            name, found = part.result()
            by_name[name].add(found)
            tell(found.cases)
    for fuzzer in fuzzers:
        _report(fuzzer)
        if asked.keep:
            fuzzer.keep()
    every = {fuzzer.name: fuzzer.found for fuzzer in fuzzers}
    findings = sum(len(found.findings) for found in every.values())
    if asked.note:
        numbers = {name: f"{found.cases:,} cases, {len(found.outcomes)} outcomes" for name, found in every.items()}
        totals = {"seed": seed, "cases": sum(found.cases for found in every.values())}
        note_result("fuzz", {**totals, **numbers, "untyped errors": findings}, time.monotonic() - started)
    sys.exit(1 if findings else 0)


def _part(name: str, seed: str, cases: int) -> "tuple[str, Found]":
    """Make and read some of a target's cases, in a process of a pool."""
    fuzzer = Fuzzer(name, seed)
    for case in corpus_of(name):
        fuzzer.learn(case)
    fuzzer.run(cases)
    return name, fuzzer.found


def _report(fuzzer: Fuzzer) -> None:
    found = fuzzer.found
    seconds, size = found.slowest
    print(
        f"{fuzzer.name}: {found.cases:,} cases, {len(found.outcomes)} outcomes, {len(found.findings)} findings; "
        f"the slowest took {seconds:.2f} s of the processor, for {size:,} bytes"
    )
    for case, error in found.findings[:5]:
        print(f"--- {case[:200]!r} ({len(case)} bytes)\n{error}")


if __name__ == "__main__":
    main()
