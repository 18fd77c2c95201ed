"""What a run of ``make conformance`` found out, line by line in a file, so that one that was stopped is continued."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cloche import Image

from .differential import Difference
from .suite import ModuleOutcome

__all__ = ["Record", "Source", "source_here"]


@dataclass(frozen=True)
class Source:
    """What was tested: the commit, with a plus behind it where files had changed since, and the guest's image."""

    commit: str
    image: str

    def __str__(self) -> str:
        return f"{self.commit} (image {self.image})"


def source_here(image: str = "core") -> Source:
    """Return what would be tested now, with the image of this name. Raises ImageNotFound."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    commit = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return Source(commit.stdout.strip() or "unknown", Image(image).digest[:12])


class Record:
    """The file: what each module's tests came to, and what the generated programs showed; the last line of each counts.

    Lines of another image than today's are there, and not used, unless ``mixed`` says so.
    """

    def __init__(self, path: Path | None, here: Source, *, mixed: bool = False) -> None:
        self._path, self.here = path, here
        self._modules: dict[str, tuple[Source, ModuleOutcome]] = {}
        self._programs: dict[tuple[int, int], tuple[Source, list[Difference]]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path is not None and path.exists() else ():
            entry = json.loads(line)
            source = Source(**entry.pop("source"))
            if mixed or source.image == here.image:
                self._take(source, entry)

    def _take(self, source: Source, entry: dict[str, object]) -> None:
        if "name" in entry:
            outcome = ModuleOutcome.from_json(entry)
            self._modules[outcome.name] = (source, outcome)
        else:
            differences = entry["differences"]
            assert isinstance(differences, list)
            self._programs[_key(entry)] = (source, [Difference(*each) for each in differences])

    def lacks(self, modules: Iterable[str]) -> list[str]:
        """Return those of which nothing is known."""
        return [module for module in modules if module not in self._modules]

    def outcomes(self, modules: Iterable[str]) -> list[ModuleOutcome]:
        """Return what became of each of these modules, of which all have run."""
        return [self._modules[module][1] for module in modules]

    def differences(self, seed: int, programs: int) -> list[Difference] | None:
        """Return which of so many programs differ; None if they have not run."""
        known = self._programs.get((seed, programs))
        return None if known is None else known[1]

    def add(self, outcome: ModuleOutcome) -> None:
        """Take a module in, and write it down."""
        self._modules[outcome.name] = (self.here, outcome)
        self._write(asdict(outcome))

    def add_programs(self, seed: int, programs: int, found: Sequence[Difference]) -> None:
        """Take in which of so many programs differ, and write it down."""
        self._programs[seed, programs] = (self.here, list(found))
        self._write({"seed": seed, "programs": programs, "differences": [list(each) for each in found]})

    def _write(self, entry: dict[str, object]) -> None:
        if self._path is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"source": asdict(self.here), **entry}) + "\n")

    def sources(self, modules: Iterable[str]) -> Counter[str]:
        """Return what these modules, which have run, were tested of, with the number of modules of each."""
        return Counter(str(self._modules[module][0]) for module in modules)


def _key(entry: dict[str, object]) -> tuple[int, int]:
    seed, programs = entry["seed"], entry["programs"]
    assert isinstance(seed, int)
    assert isinstance(programs, int)
    return seed, programs
