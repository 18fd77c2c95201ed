"""The page of attacks is what the table says, and the table names tests that exist."""

import re

from tests.hostile.attacks import CLASSES
from tests.hostile.page import PAGE, cases_of, page

ATTACKS = [attack for attacks in CLASSES.values() for attack in attacks]


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.hostile.page"


def test_ids_are_unique_and_stay_within_one_form() -> None:
    ids = [attack.id for attack in ATTACKS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+-[0-9]+", each) for each in ids)


def test_every_attack_has_tests_that_exist() -> None:
    for attack in ATTACKS:
        assert attack.tests, attack.id
        assert all(cases_of(test) >= 1 for test in attack.tests)
