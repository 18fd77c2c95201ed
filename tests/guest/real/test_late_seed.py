"""The random module is seeded from the host's entropy when the first number is drawn, and only then."""

from collections.abc import Iterator

import pytest

from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session


@pytest.fixture
def session() -> Iterator[Session]:
    with Sandbox().session() as session:
        yield session


DRAWS = {
    "random": "random.random()",
    "getrandbits": "random.getrandbits(64)",
    "shuffle": "rows = list(range(30))\nrandom.shuffle(rows)\nrows",
    "gauss": "random.gauss(0, 1)",
    "state": "random.getstate()[1][:5]",
}


@pytest.mark.parametrize("name", DRAWS)
def test_two_guests_draw_different_numbers(name: str) -> None:
    program = f"import random\n{DRAWS[name]}"
    first, second = Sandbox().run(program).unwrap(), Sandbox().run(program).unwrap()
    assert first != second


@pytest.mark.parametrize("name", DRAWS)
def test_a_seeded_sandbox_repeats(name: str) -> None:
    program = f"import random\n{DRAWS[name]}"
    assert Sandbox(seed=3).run(program).unwrap() == Sandbox(seed=3).run(program).unwrap()


def test_generators_of_the_program_keep_their_seeds(session: Session) -> None:
    session.run("import random\nown = random.Random(5)").unwrap()
    assert session.run("own.random() == random.Random(5).random()").unwrap()
    session.run("random.seed(7)\nfirst = random.random()\nrandom.seed(7)").unwrap()
    assert session.run("first == random.random() == random.Random(7).random()").unwrap()


def test_the_state_is_one_that_can_be_set(session: Session) -> None:
    """Not the mark of a generator that has not been seeded."""
    program = "import random\nstate = random.getstate()\nlater = random.random()\nrandom.setstate(state)"
    session.run(program).unwrap()
    assert session.run("later == random.random() and 0 <= state[1][-1] <= 624").unwrap()


def test_copies_of_a_session_that_drew_nothing_draw_different_numbers(session: Session) -> None:
    session.run("x = 1").unwrap()
    draw = "import random\nrandom.random()"
    with session.fork() as other:
        assert other.run(draw).unwrap() != session.run(draw).unwrap()


def test_only_random_objects_can_be_marked(session: Session) -> None:
    error = session.run("import _cloche\n_cloche.seed_later(object())").error
    assert error is not None
    assert "expected a random.Random" in str(error)
