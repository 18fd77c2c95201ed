"""The short part of ``make fuzz``: every target's corpus, and new cases, without a single untyped error."""

import pytest
from tests.hostile.fuzz import Fuzzer, corpus_of
from tests.hostile.targets import TARGETS

CASES = 100_000
SEED = 2026


@pytest.mark.parametrize("name", TARGETS)
def test_no_reader_raises_an_untyped_error(name: str) -> None:
    fuzzer = Fuzzer(name, SEED)
    fuzzer.read_corpus()
    fuzzer.run(CASES // len(TARGETS))
    assert [error for _, error in fuzzer.found.findings] == []
    # Cases that all end at the first check would prove nothing.
    assert len(fuzzer.found.outcomes) >= 5


@pytest.mark.parametrize("name", TARGETS)
def test_there_is_a_corpus(name: str) -> None:
    assert len(corpus_of(name)) >= 5
