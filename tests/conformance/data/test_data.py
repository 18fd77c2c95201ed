"""A part of ``make conformance-data``: a few files of NumPy's and pandas' tests, and expressions made by chance."""

import itertools
from pathlib import Path

import pytest
from tests.conformance.report import Conformance
from tests.conformance.suite import ModuleOutcome

from cloche import Image, ImageNotFound, Sandbox
from recipe import inputs, sources
from recipe.workspace import cache_root

from . import native
from .__main__ import ABOUT, KNOWN
from .generator import AREAS, programs
from .reasons import Difference, differences
from .suite import LIMITS, modules_in, prepared, run_modules

MODULES = [
    "numpy/_core/tests/test_abc.py",
    "numpy/fft/tests/test_helper.py",
    "pandas/tests/groupby/test_counting.py",
]


@pytest.fixture(scope="module", autouse=True)
def image() -> Image:
    try:
        return Image("data")
    except ImageNotFound:
        pytest.skip("the data image is not built: make data")


@pytest.fixture(scope="module")
def trees() -> dict[str, Path]:
    pins, found = inputs.load(inputs.DATA), dict[str, Path]()
    for name in ("numpy", "pandas"):
        if not (cache_root() / f"source-{name}-{sources.key_of(pins[name])}" / ".done").exists():
            pytest.skip("the packages' sources are not on this machine: the image came from a cache")
        found[name] = sources.unpacked(name)
    return found


def test_files_of_the_packages_tests(trees: dict[str, Path]) -> None:
    assert set(MODULES) < set(modules_in(trees))
    found = Conformance("", known=KNOWN, page=ABOUT)
    with prepared(trees) as base:
        for outcome in run_modules(base, MODULES):
            found.add(outcome)
    assert found.unexplained() == []
    assert sum(judged.verdict == "passed" for _, judged in found.tests) > 40
    assert {package for package, _ in found.tests} == {"numpy._core", "numpy.fft", "pandas.groupby"}


def test_expressions_made_by_chance() -> None:
    python = native.known()
    if python is None:
        pytest.skip("there is no native Python with the packages: make conformance-data makes one")
    sandbox = Sandbox(image="data", limits=LIMITS, metering="epoch")
    drawn = itertools.islice(programs(2026), 750, 950)
    assert [each for each in differences(python, drawn, sandbox) if not each.reason] == []


def test_expressions_are_the_same_for_the_same_seed() -> None:
    first, again = (list(itertools.islice(programs(7), 900)) for _ in range(2))
    assert first == again
    assert all(compile(each, "generated", "exec") for each in first)
    assert sum(map(len, AREAS.values())) > 600


def test_a_crash_costs_one_test_and_a_difference_has_its_reason() -> None:
    found = Conformance("", known=KNOWN, page=ABOUT)
    tests = {"a": ("passed", ""), "b": ("crashed", "GuestCrashed: x"), "c": ("skipped", "needs hypothesis")}
    found.add(ModuleOutcome("numpy/fft/tests/test_x.py", tests))
    assert found.unexplained() == ["b: GuestCrashed: x"]
    assert found.crashed == 1
    assert not Difference("show(x)", "int 1", "int 2").reason
    assert Difference("show(np.dot(a, a))", "float64 np.float64(1.0)", "float64 np.float64(1.0000000000000002)").reason
