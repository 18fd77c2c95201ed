"""A part of ``make conformance``: a few modules of CPython's tests, and a thousand generated programs."""

import itertools
from pathlib import Path

import pytest

from recipe import sources
from recipe.inputs import load
from recipe.workspace import cache_root

from .differential import Difference, differences, native_python
from .generator import AREAS, programs
from .record import Record, Source
from .report import Conformance, judge, written
from .suite import ModuleOutcome, modules_in, prepared, run_modules

MODULES = [
    "test.test_bdb",
    "test.test_bool",
    "test.test_contextlib",
    "test.test_deque",
    "test.test_dict",
    "test.test_fstring",
    "test.test_functools",
    "test.test_generators",
    "test.test_httpservers",
    "test.test_json.test_decode",
    "test.test_list",
    "test.test_listcomps",
    "test.test_range",
    "test.test_string",
    "test.test_strftime",
    "test.test_textwrap",
]


@pytest.fixture(scope="module")
def library() -> Path:
    folder = cache_root() / f"source-cpython-{sources.key_of(load()['cpython'])}"
    if not (folder / ".done").exists():
        pytest.skip("CPython's sources are not on this machine: the guest came from a cache")
    return sources.unpacked("cpython") / "Lib"


def test_modules_of_cpythons_tests(library: Path) -> None:
    assert set(MODULES) < set(modules_in(library))
    found = Conformance("3.13")
    with prepared(library) as base:
        for outcome in run_modules(base, MODULES):
            found.add(outcome)
    assert found.unexplained() == []
    assert sum(judged.verdict == "passed" for _, judged in found.tests) > 500


def test_generated_programs() -> None:
    python = native_python()
    if python is None:
        pytest.skip("there is no CPython 3.13 on this machine")
    assert [each for each in differences(python, itertools.islice(programs(2026), 1_000)) if not each.reason] == []


def test_programs_are_the_same_for_the_same_seed() -> None:
    first, again, other = programs(1), programs(1), programs(2)
    texts = [next(first) for _ in range(50)]
    assert texts == [next(again) for _ in range(50)]
    assert texts != [next(other) for _ in range(50)]
    assert all(compile(each, "generated", "exec") for each in texts)
    assert sum(map(len, AREAS.values())) > 200


def test_functions_of_mathematics_are_near_correctly_rounded() -> None:
    pytest.importorskip("gmpy2")
    from .precision import CPYTHON, FUNCTIONS, MUSL, measured, opened

    assert {*MUSL, *CPYTHON} < {each.name for each in FUNCTIONS}
    with opened() as session:
        assert [found for each in FUNCTIONS if not (found := measured(session, each, 200, seed=7)).holds] == []


def test_a_wrong_result_is_seen() -> None:
    pytest.importorskip("gmpy2")
    from .precision import INSIDE, Function, measured, opened

    with opened() as session:
        sine = Function("math.sin", (lambda r: r.uniform(1, 2),), lambda x: x)
        assert not measured(session, sine, 5).holds
        assert "def results" in INSIDE.read_text(encoding="utf-8")


def test_a_run_that_was_stopped_is_continued(tmp_path: Path) -> None:
    log, here, other = tmp_path / "log", Source("a1", "image1"), Source("b2", "image2")
    record = Record(log, here)
    assert record.lacks(["test.x", "test.y"]) == ["test.x", "test.y"]
    record.add(ModuleOutcome("test.x", {"test.x.A": ("passed", "")}, 1.5))
    record.add_programs(1, 10, [Difference("x", "1", "2")])
    again = Record(log, here)
    assert again.lacks(["test.x", "test.y"]) == ["test.y"]
    assert again.outcomes(["test.x"]) == record.outcomes(["test.x"])
    assert again.differences(1, 10) == [Difference("x", "1", "2")]
    assert again.differences(2, 10) is None
    assert Record(log, other).lacks(["test.x"]) == ["test.x"]
    mixed = Record(log, other, mixed=True)
    mixed.add(ModuleOutcome("test.y", {}))
    assert mixed.sources(["test.x", "test.y"]) == {"a1 (image image1)": 1, "b2 (image image2)": 1}
    assert "Not all of it is of one state" in written(Conformance("3.13", mixed.sources(["test.x", "test.y"])))
    assert "Tested was commit a1 (image image1), in one run." in written(Conformance("3.13", again.sources(["test.x"])))


TESTS = {
    "test.x.Good": ("passed", ""),
    "test.x.Skipped": ("skipped", "no"),
    "test.x.Network": ("error", "OSError: there is no network in this sandbox: use tools"),
    "test.test_iter.TestCase.test_iter_overflow": ("error", "OSError"),
    "test.x.Bad": ("failed", "1 != 2 | 3"),
}


def test_each_failure_has_a_reason_or_is_named() -> None:
    outcome = ModuleOutcome("test.x", TESTS)
    verdicts = {judged.name: judged.verdict for judged in judge(outcome)}
    assert verdicts == {
        "test.x.Good": "passed",
        "test.x.Skipped": "not applicable",
        "test.x.Network": "not applicable",
        "test.test_iter.TestCase.test_iter_overflow": "explained",
        "test.x.Bad": "unexplained",
    }
    found = Conformance("3.13.0", programs=2, differences=[Difference("x", "float 0.1", "float 0.10000000000000002")])
    found.add(outcome)
    assert found.unexplained() == ["test.x.Bad: 1 != 2 | 3"]
    page = written(found)
    assert "| applicable tests | 3 |" in page
    assert "1 != 2 \\| 3" in page
    assert "the last place of a floating-point function" in page


def test_what_is_known_of_differences() -> None:
    assert Difference("", "OverflowError: a", "OverflowError: b").reason
    assert Difference("", "float 1.0", "float 1.0000000000000002").reason
    assert not Difference("", "float 1.0", "float 1.1").reason
    assert not Difference("", "int 1", "str 1").reason
    assert not Difference("", "a\nb", "a").reason
