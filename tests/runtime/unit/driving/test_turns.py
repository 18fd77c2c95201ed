"""Whose turn it is: shares by weight, priorities, newcomers, debts; and what is forgotten."""

from collections import Counter

import pytest

from cloche.runtime.driving.turns import MIN_CHARGE, Turns

QUANTUM = 0.01


def shares(turns: Turns[str], rounds: int, cost: dict[str, float] | None = None) -> Counter[str]:
    """Take that many turns, each put back at once, and return the seconds that each account was charged."""
    used: Counter[str] = Counter()
    for _ in range(rounds):
        taken = turns.take()
        assert taken is not None
        account, work = taken
        seconds = (cost or {}).get(account, QUANTUM)
        turns.charge(account, seconds)
        used[account] += seconds  # type: ignore[assignment]
        turns.put(account, work, begun=True)
    return used


def filled(**programs: int) -> Turns[str]:
    turns: Turns[str] = Turns(QUANTUM)
    for account, count in programs.items():
        for number in range(count):
            turns.put(account, f"{account}{number}", begun=False)
    return turns


def test_accounts_share_alike_however_many_programs_they_have() -> None:
    used = shares(filled(a=10, b=5, c=1), 300)
    assert used["a"] == pytest.approx(used["b"], rel=0.03) == pytest.approx(used["c"], rel=0.03)


def test_long_turns_are_paid_for() -> None:
    used = shares(filled(a=3, b=3), 1_000, {"a": 5 * QUANTUM, "b": QUANTUM / 2})
    assert used["a"] == pytest.approx(used["b"], rel=0.05)


def test_weights() -> None:
    turns = filled(a=2, b=2)
    turns.configure("a", 3.0, 0)
    used = shares(turns, 400)
    assert used["a"] == pytest.approx(3 * used["b"], rel=0.05)


def test_a_higher_priority_goes_first_always() -> None:
    turns = filled(a=2)
    turns.configure("urgent", 1.0, 5)
    turns.put("urgent", "u", begun=False)
    assert set(shares(turns, 50)) == {"urgent"}


def test_an_account_that_comes_anew_goes_first() -> None:
    turns = filled(a=5, b=5)
    shares(turns, 40)
    turns.put("c", "new", begun=False)
    assert turns.take() == ("c", "new")


def test_one_that_has_overdrawn_does_not() -> None:
    turns = filled(a=1)
    turns.put("c", "new", begun=False)
    assert turns.take() == ("c", "new")
    turns.charge("c", 100 * QUANTUM)
    turns.put("c", "again", begun=False)
    assert set(shares(turns, 50)) == {"a"}


def test_much_debt_takes_no_long_search() -> None:
    turns = filled(a=1)
    taken = turns.take()
    assert taken is not None
    turns.charge("a", 1e9)
    turns.put("a", "again", begun=True)
    assert turns.take() == ("a", "again")


def test_short_work_that_comes_again_and_again_gets_its_share_and_no_more() -> None:
    turns = filled(a=3)
    used: Counter[str] = Counter()
    for _ in range(2_000):
        if not any(name == "b" for name in turns.usage()) or used["waiting"] == 0:
            turns.put("b", "short", begun=False)
            used["waiting"] = 1
        taken = turns.take()
        assert taken is not None
        account, work = taken
        seconds = QUANTUM if account == "a" else QUANTUM / 5
        turns.charge(account, seconds)
        used[account] += seconds  # type: ignore[assignment]
        if account == "a":
            turns.put("a", work, begun=True)
        else:
            used["waiting"] = 0
    assert used["b"] == pytest.approx(used["a"], rel=0.1)


def test_new_programs_and_old_ones_take_turns_within_an_account() -> None:
    turns: Turns[str] = Turns(QUANTUM)
    for number in range(4):
        turns.put("a", f"old{number}", begun=True)
        turns.put("a", f"new{number}", begun=False)
    taken = [turns.take() for _ in range(8)]
    assert Counter(work[:3] for _, work in filter(None, taken[:4])) == {"new": 2, "old": 2}


def test_no_turn_is_free() -> None:
    turns = filled(a=1)
    turns.take()
    turns.charge("a", 0.0)
    assert turns.usage() == {"a": MIN_CHARGE}


def test_names_without_end_are_forgotten() -> None:
    turns: Turns[str] = Turns(QUANTUM)
    turns.configure("kept", 2.0, 0)
    for number in range(5_000):
        turns.put(str(number), "work", begun=False)
        taken = turns.take()
        assert taken is not None
        turns.charge(taken[0], 0.001)
    assert len(turns.usage()) < 1_500
    assert "kept" in turns.usage()
    turns.forget("kept")
    assert "kept" not in turns.usage()


def test_some_accounts_may_be_passed_over() -> None:
    turns = filled(a=2, b=1)
    assert turns.has_other(["a"])
    assert turns.take(but_of=["a"]) == ("b", "b0")
    assert not turns.has_other(["a"])
    assert turns.take(but_of=["a"]) is None
    assert len(turns) == 2
    assert turns.take() == ("a", "a0")


def test_nothing_to_do() -> None:
    turns = filled(a=1)
    assert len(turns) == 1
    turns.take()
    assert (len(turns), turns.take()) == (0, None)


def test_who_goes_before_all_others() -> None:
    turns = filled(a=2)
    shares(turns, 10)
    assert turns.put("b", "anew", begun=False)
    assert not turns.put("b", "another", begun=False)
    assert not turns.put("a", "of one that waits", begun=False)
    account, _ = turns.take() or ("", "")
    assert account == "b"
    turns.charge("b", 50 * QUANTUM)
    turns.take()
    turns.charge("b", QUANTUM)
    assert not turns.put("b", "in debt", begun=False)


def test_with_two_turns_at_once_no_account_is_ahead_by_more_than_them() -> None:
    turns = filled(a=5, b=5, c=5)
    used: Counter[str] = Counter()
    running: list[tuple[str, str]] = []
    for _ in range(200):
        while len(running) < 2:
            taken = turns.take()
            assert taken is not None
            running.append(taken)
            used[taken[0]] += 1
        assert max(used.values()) - min(used[name] for name in "abc") <= 2
        account, work = running.pop(0)
        turns.charge(account, QUANTUM)
        turns.put(account, work, begun=True)


def test_one_that_was_asked_to_leave_early_keeps_its_place() -> None:
    turns = filled(a=3, b=1)
    turns.put("c", "only", begun=False)
    assert turns.take() == ("c", "only")
    turns.charge("c", QUANTUM / 2)
    assert not turns.put("c", "only", begun=True), "none has to hurry for it"
    assert turns.take() == ("c", "only")
