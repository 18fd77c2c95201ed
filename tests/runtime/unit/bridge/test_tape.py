"""What the world told a guest, recorded and played back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.runtime.bridge.environment import Environment, FuelClock, parse_seed
from cloche.runtime.bridge.transcript import ReplayMismatch, Tape, join_answers

answers = st.lists(
    st.tuples(st.just("call"), st.binary(max_size=20), st.binary(max_size=20))
    | st.tuples(st.just("clock"), st.just(b""), st.integers(0, 1 << 62))
    | st.tuples(st.just("entropy"), st.just(b""), st.binary(max_size=40)),
    max_size=20,
)


@given(answers)
def test_what_was_recorded_is_played_back(script: list[tuple[str, bytes, object]]) -> None:
    tape = Tape(1 << 20)
    tape.start()
    for kind, asked, answer in script:
        record(tape, kind, asked, answer)
    told, _ = tape.stop()
    assert told is not None
    tape.play(told)
    assert tape.replaying
    assert [replay(tape, kind, asked, answer) for kind, asked, answer in script] == [answer for _, _, answer in script]
    tape.end_play()
    assert not tape.replaying


def record(tape: Tape, kind: str, asked: bytes, answer: object) -> None:
    match kind, answer:
        case "call", bytes(reply):
            tape.record_call(asked, reply)
        case "clock", int(moment):
            tape.record_clock(moment)
        case _, bytes(data):
            tape.record_entropy(data)
        case _:
            raise AssertionError(kind)


def replay(tape: Tape, kind: str, asked: bytes, answer: object) -> object:
    if kind == "call":
        return tape.replay_call(asked)
    return (
        tape.replay_clock() if kind == "clock" else tape.replay_entropy(len(answer) if isinstance(answer, bytes) else 0)
    )


def played(tape: Tape) -> Tape:
    tape.start()
    tape.record_call(b"asked", b"answer")
    told, _ = tape.stop()
    assert told is not None
    tape.play(told)
    return tape


def test_another_question_is_a_mismatch() -> None:
    with pytest.raises(ReplayMismatch):
        played(Tape(1_000)).replay_call(b"other")
    with pytest.raises(ReplayMismatch):
        played(Tape(1_000)).replay_clock()
    with pytest.raises(ReplayMismatch):
        played(Tape(1_000)).replay_entropy(6)


def test_one_question_more_or_less_is_a_mismatch() -> None:
    tape = played(Tape(1_000))
    assert tape.replay_call(b"asked") == b"answer"
    with pytest.raises(ReplayMismatch, match="more often"):
        tape.replay_call(b"asked")
    with pytest.raises(ReplayMismatch, match="0 times instead of 1"):
        played(Tape(1_000)).end_play()


def test_too_much_is_not_recorded() -> None:
    tape = Tape(1_000)
    for size in (2_000, 10):
        tape.start()
        tape.record_entropy(bytes(size))
        assert (tape.stop()[0] is None) == (size > 1_000)
    tape.start()
    for _ in range(100):
        tape.record_clock(1)
    assert tape.stop()[0] is None


def test_nothing_is_recorded_without_room() -> None:
    tape = Tape()
    tape.start()
    assert tape.stop()[0] is None


@given(st.integers() | st.text() | st.binary(), st.lists(st.integers(0, 100), max_size=9))
def test_a_seeded_stream_repeats_and_goes_back(seed: int | str | bytes, sizes: list[int]) -> None:
    world = Environment(parse_seed(seed), FuelClock(0, rate=0))
    mark = world.mark()
    first = [world.random(size) for size in sizes]
    assert [len(data) for data in first] == sizes
    world.go_back(mark)
    assert [world.random(size) for size in sizes] == first


def test_without_a_seed_bytes_never_repeat() -> None:
    world = Environment(None, None)
    assert len({world.random(16) for _ in range(100)}) == 100


def test_an_answer_that_comes_later_stands_where_it_was_asked_for() -> None:
    tape = Tape(10_000)
    tape.start()
    place = tape.reserve_call(b"first")
    tape.record_call(b"second", b"2")
    before = tape.stop()
    tape.start()
    tape.fill(place, b"1")
    joined, _ = join_answers(before, tape.stop())
    assert joined is not None
    tape.play(joined)
    assert (tape.replay_call(b"first"), tape.replay_call(b"second")) == (b"1", b"2")
    tape.end_play()


def test_without_a_recording_there_is_no_place() -> None:
    tape = Tape()
    tape.start()
    assert tape.reserve_call(b"first") is None
    tape.fill(None, b"1")
