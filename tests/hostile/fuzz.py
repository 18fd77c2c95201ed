"""``make fuzz``: forged messages for each of the host's readers; whatever is raised untyped is a finding.

The same seed makes the same cases. A case that led to an outcome not seen before is one more to start from, and the
files in ``corpus/`` hold such cases of earlier runs, a line of base64 for each.
"""

import argparse
import base64
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.hostile.mutations import Mutator
from tests.hostile.progress import progress
from tests.hostile.results import note_result
from tests.hostile.targets import TARGETS

__all__ = ["Fuzzer", "corpus_of"]

CORPUS = Path(__file__).parent / "corpus"
CASES = 10_000_000
# One case in so many has up to a million tokens.
_HUGE = 20_000
# Cases to start from; more of them would only be more of the same.
_MAX_LEARNT = 1_000
_MAX_LENGTH = 4_096
_MAX_KEPT = 80
_STEP = 1_000


def corpus_of(name: str) -> list[bytes]:
    """Return a target's kept cases."""
    path = _file_of(name)
    return [base64.b64decode(line) for line in path.read_text().split()] if path.exists() else []


def _file_of(name: str) -> Path:
    return CORPUS / f"{name.replace(' ', '-')}.base64"


class Fuzzer:
    """Feeds one target, and counts what became of its cases.

    ``findings`` are the cases whose reader raised what it may not, each with the traceback; ``slowest`` is the
    processor's seconds that one case took, and that case's bytes; ``new`` are cases that led somewhere new.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.cases = 0
        self.outcomes: Counter[str] = Counter()
        self.findings: list[tuple[bytes, str]] = []
        self.slowest = (0.0, 0)
        self.new: list[bytes] = []
        self._noise = random.Random(f"{seed} {name}")
        self._mutator = Mutator(self._noise)
        self._target = TARGETS[name]()

    def read_corpus(self) -> None:
        """Read the kept cases, and start from them too."""
        for case in corpus_of(self.name):
            self._read(case)
            self._target.learn(case)

    def run(self, cases: int, tell: Callable[[int], object] = lambda done: None) -> None:
        """Make and read so many cases; ``tell`` is called with how many it were since the last time."""
        for number in range(1, cases + 1):
            case = self._target.make(self._mutator, self._noise, self._noise.random() * _HUGE < 1)
            is_new = self._read(case)
            if is_new and len(case) <= _MAX_LENGTH and len(self.new) < _MAX_LEARNT:
                self.new.append(case)
                self._target.learn(case)
            if number % _STEP == 0:
                tell(_STEP)
        tell(cases % _STEP)

    def keep(self) -> None:
        """Write the new cases into the corpus, as long as it is small."""
        CORPUS.mkdir(exist_ok=True)
        kept = corpus_of(self.name)
        kept += sorted(set(self.new) - set(kept), key=len)[: max(0, _MAX_KEPT - len(kept))]
        _file_of(self.name).write_text("".join(f"{base64.b64encode(case).decode()}\n" for case in kept))

    def _read(self, case: bytes) -> bool:
        started = time.thread_time()
        try:
            outcome = self._target.read(case)
        except Exception:
            self.findings.append((case, traceback.format_exc(limit=-6)))
            return False
        finally:
            self.cases += 1
            took = time.thread_time() - started
            if took > self.slowest[0]:
                self.slowest = took, len(case)
        self.outcomes[outcome] += 1
        return self.outcomes[outcome] == 1


def main() -> None:
    """Fuzz all targets, evenly; note the result where ``--note`` says so."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="over all targets; default 10,000,000")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--keep", action="store_true", help="put cases that led somewhere new into the corpus")
    parser.add_argument("--note", action="store_true", help="write the result down for docs/security/attacks.md")
    asked = parser.parse_args()
    seed = random.randrange(1 << 30) if asked.seed is None else asked.seed
    fuzzers = [Fuzzer(name, seed) for name in TARGETS]
    started = time.monotonic()
    with progress("fuzzing", asked.cases) as tell:
        for fuzzer in fuzzers:
            fuzzer.read_corpus()
            fuzzer.run(asked.cases // len(fuzzers), tell)
    for fuzzer in fuzzers:
        _report(fuzzer)
        if asked.keep:
            fuzzer.keep()
    findings = sum(len(fuzzer.findings) for fuzzer in fuzzers)
    if asked.note:
        numbers = {fuzzer.name: f"{fuzzer.cases:,} cases, {len(fuzzer.outcomes)} outcomes" for fuzzer in fuzzers}
        note_result("fuzz", {"seed": seed, **numbers, "untyped errors": findings}, time.monotonic() - started)
    sys.exit(1 if findings else 0)


def _report(fuzzer: Fuzzer) -> None:
    seconds, size = fuzzer.slowest
    print(
        f"{fuzzer.name}: {fuzzer.cases:,} cases, {len(fuzzer.outcomes)} outcomes, {len(fuzzer.findings)} findings; "
        f"the slowest took {seconds:.2f} s of the processor, for {size:,} bytes"
    )
    for case, error in fuzzer.findings[:5]:
        print(f"--- {case[:200]!r} ({len(case)} bytes)\n{error}")


if __name__ == "__main__":
    main()
