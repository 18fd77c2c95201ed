"""What the tests and the generated programs showed, as docs/conformance.md: counts, and a reason for each failure."""

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from .differential import Difference
from .suite import ModuleOutcome

__all__ = ["CPYTHON", "Conformance", "Judged", "Known", "Page", "judge", "written"]

Verdict = Literal["passed", "not applicable", "explained", "unexplained"]


@dataclass(frozen=True)
class Known:
    """What is known of tests that do not pass.

    ``refusals`` are texts by which the guest says what it has not, ``not_applicable`` patterns of tests of what it has
    not, ``remaining`` tables of patterns of tests, or of ``texts`` that they fail with, each with the reason ``why``.
    """

    refusals: list[str]
    not_applicable: list[str]
    remaining: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "Known":
        """Return what a file says."""
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls(tables["refusals"], tables["not_applicable"], tables["remaining"])

    def reason(self, name: str, text: str) -> str:
        """Return why a test fails; empty if that is not known."""
        for each in self.remaining:
            if _matches(name, each.get("tests", ())) or any(map(text.__contains__, each.get("texts", ()))):
                return str(each["why"])
        return ""


@dataclass(frozen=True)
class Page:
    """How a page begins, and what its modules and generated programs are called."""

    title: str
    about: Sequence[str]
    package: Callable[[str], str]


CPYTHON = Known.read(Path(__file__).with_name("remaining.toml"))
"""What is known of CPython's own tests."""
CPYTHON_PAGE = Page(
    "Conformance",
    (
        "Written by `make conformance`, which runs CPython's own tests in the guest, and generated programs there",
        "and in CPython {python}. Not applicable are tests that CPython skips by itself, as on a system without",
        "threads, processes or sockets, and those that end with an error by which the guest says what it has not:",
        "see [what works in the guest](limits/guest.md).",
    ),
    lambda name: name.removeprefix("test.").partition(".")[0],
)


@dataclass(frozen=True)
class Judged:
    """One test: what became of it, and why, where it did not pass."""

    name: str
    verdict: Verdict
    reason: str = ""


def judge(module: ModuleOutcome, known: Known = CPYTHON) -> Iterator[Judged]:
    """Yield each test of a module with its verdict."""
    for name, (kind, text) in sorted(module.tests.items()):
        if kind == "passed":
            yield Judged(name, "passed")
        elif kind == "skipped" or any(map(text.__contains__, known.refusals)) or _matches(name, known.not_applicable):
            yield Judged(name, "not applicable", text)
        else:
            why = known.reason(name, text)
            yield Judged(name, "explained" if why else "unexplained", why or text)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass
class Conformance:
    """All that was found out, and how many modules were tested of which commit."""

    python: str
    sources: Mapping[str, int] = field(default_factory=dict)
    tests: list[tuple[str, Judged]] = field(default_factory=list)
    programs: int = 0
    differences: Sequence[Difference] = field(default_factory=list[Difference])
    crashed: int = 0
    known: Known = CPYTHON
    page: Page = CPYTHON_PAGE

    def add(self, module: ModuleOutcome) -> None:
        """Take in what became of a module's tests."""
        package = self.page.package(module.name)
        judged = list(judge(module, self.known))
        self.tests += [(package, each) for each in judged]
        failed = [each.name for each in judged if each.verdict in ("explained", "unexplained")]
        self.crashed += sum(module.tests[name][0] == "crashed" for name in failed)

    def unexplained(self) -> list[str]:
        """Return, as text, each test and each program that differs for no reason that is known."""
        tests = [f"{judged.name}: {judged.reason}" for _, judged in self.tests if judged.verdict == "unexplained"]
        unknown = [each for each in self.differences if not each.reason]
        return tests + [f"{each.program}\nCPython: {each.native}\nguest: {each.guest}" for each in unknown]


def written(found: Conformance) -> str:
    """Return the page."""
    verdicts = Counter(judged.verdict for _, judged in found.tests)
    applicable = sum(verdicts.values()) - verdicts["not applicable"]
    share = 100 * verdicts["passed"] / max(1, applicable)
    lines = [
        f"# {found.page.title}",
        "",
        *(line.replace("{python}", found.python) for line in found.page.about),
        "",
        *_tested(found.sources),
        "| | |",
        "|---|--:|",
        f"| applicable tests | {applicable:,} |",
        f"| passed | {verdicts['passed']:,} ({share:.2f} %) |",
        f"| failed, with a reason below | {verdicts['explained']:,} |",
        f"| failed, without | {verdicts['unexplained']:,} |",
        f"| ended their guest | {found.crashed:,} |",
        f"| not applicable | {verdicts['not applicable']:,} |",
        f"| generated programs | {found.programs:,} |",
        f"| that show something else, with a reason below | {sum(bool(each.reason) for each in found.differences):,} |",
        f"| that show something else, without | {sum(not each.reason for each in found.differences):,} |",
        "",
        *_reasons(found),
        *_by_module(found),
    ]
    return "\n".join(lines)


def _tested(sources: Mapping[str, int]) -> Iterator[str]:
    if len(sources) == 1:
        yield from (f"Tested was commit {next(iter(sources))}, in one run.", "")
    elif sources:
        shown = "; ".join(f"{source}: {count:,}" for source, count in sources.items())
        yield from (f"Not all of it is of one state. Modules of tests by the commit that was tested: {shown}.", "")


def _reasons(found: Conformance) -> Iterator[str]:
    yield from ("## What remains, and why", "", "| reason | tests |", "|---|---|")
    names: dict[str, list[str]] = {}
    for _, judged in found.tests:
        if judged.verdict in ("explained", "unexplained"):
            names.setdefault(judged.reason, []).append(judged.name)
    for reason, tests in names.items():
        shown = ", ".join(f"`{name.removeprefix('test.')}`" for name in tests)
        yield f"| {_cell(reason)} | {shown} |"
    for reason, count in Counter(each.reason for each in found.differences).items():
        yield f"| {_cell(reason) or 'not known'} | {count} generated programs |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[:300]


def _by_module(found: Conformance) -> Iterator[str]:
    yield from ("## By module", "", "| module | applicable | passed | not applicable |", "|---|--:|--:|--:|")
    counts: dict[str, Counter[Verdict]] = {}
    for package, judged in found.tests:
        counts.setdefault(package, Counter())[judged.verdict] += 1
    for package, verdicts in sorted(counts.items()):
        away = verdicts["not applicable"]
        applicable = sum(verdicts.values()) - away
        if applicable:
            yield f"| `{package}` | {applicable:,} | {verdicts['passed']:,} | {away:,} |"
    nowhere = [package for package, verdicts in sorted(counts.items()) if set(verdicts) == {"not applicable"}]
    yield from ("", f"No test of these is applicable: {', '.join(f'`{each}`' for each in nowhere)}.", "")
