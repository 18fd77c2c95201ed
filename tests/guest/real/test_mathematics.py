"""The guest's mathematical functions against exact values: off by one unit of the last place at the very most."""

import math
import random
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from tests.guest.real import exact

from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

Draw = Callable[[random.Random], float]

COUNT = 1_000
SLOW = {"erf", "erfc", "gamma"}  # to compute exactly
# In units of the last place: musl's hyperbolic functions are off by more than one, as those of other libraries are, and
# gamma is CPython's own.
LOOSE = {"sinh": 1.8, "tanh": 2.0, "asinh": 1.5, "acosh": 1.8, "atanh": 1.6, "erfc": 2.5, "gamma": 9.0}


def _between(low: float, high: float) -> Draw:
    return lambda chance: chance.uniform(low, high)


def _scaled(low: int, high: int, *, signed: bool = True) -> Draw:
    """Of every magnitude between two powers of two, both signs."""
    signs = (1, -1) if signed else (1,)
    return lambda chance: math.ldexp(chance.choice(signs) * chance.uniform(0.5, 1), chance.randint(low, high))


DOMAINS: dict[str, tuple[Draw, ...]] = {
    "exp": (_between(-745, 709.7), _scaled(-60, 9)),
    "exp2": (_between(-1074, 1023.9), _scaled(-60, 9)),
    "expm1": (_between(-50, 709.7), _scaled(-60, 9)),
    "log": (_scaled(-1073, 1023, signed=False), _between(0.5, 2)),
    "log2": (_scaled(-1073, 1023, signed=False), _between(0.5, 2)),
    "log10": (_scaled(-1073, 1023, signed=False), _between(0.5, 2)),
    "log1p": (_scaled(-60, -1), _scaled(-60, 1023, signed=False)),
    "sinh": (_between(-710, 710), _scaled(-60, 9)),
    "cosh": (_between(-710, 710), _scaled(-60, 9)),
    "tanh": (_between(-20, 20), _scaled(-60, 4)),
    "asinh": (_scaled(-60, 1023),),
    "acosh": (_between(1, 2), _scaled(1, 1023, signed=False)),
    "atanh": (_between(-1, 1), _scaled(-60, -1)),
    "sqrt": (_scaled(-1073, 1023, signed=False),),
    "cbrt": (_scaled(-1073, 1023),),
    "sin": (_between(-10, 10), _scaled(-60, 1000)),
    "cos": (_between(-10, 10), _scaled(-60, 1000)),
    "tan": (_between(-10, 10), _scaled(-60, 1000)),
    "asin": (_between(-1, 1), _scaled(-60, -1)),
    "acos": (_between(-1, 1), _scaled(-60, -1)),
    "atan": (_scaled(-60, 1023), _between(-3, 3)),
    "erf": (_between(-5, 5), _scaled(-60, 2)),
    "erfc": (_between(-5, 12), _scaled(-60, 2)),
    "gamma": (_between(0.001, 50), _between(0.5, 170)),
}
OF_TWO: dict[str, tuple[Draw, Draw]] = {
    "pow": (_between(0.01, 100), _between(-100, 100)),
    "hypot": (_scaled(-500, 500, signed=False), _scaled(-500, 500, signed=False)),
    "atan2": (_scaled(-40, 40, signed=False), _scaled(-40, 40, signed=False)),
}
PROGRAM = """
import math
def computed(name, *arguments):
    return [getattr(math, name)(*each) for each in zip(*arguments)]
"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Sandbox().session() as session:
        session.run(PROGRAM).unwrap()
        yield session


@pytest.mark.parametrize("name", DOMAINS)
def test_a_function_is_exact_to_the_last_digit(session: Session, name: str) -> None:
    chance = random.Random(name)
    count = COUNT // 5 if name in SLOW else COUNT
    arguments = [chance.choice(DOMAINS[name])(chance) for _ in range(count)]
    session.set("arguments", arguments)
    got = session.run(f"computed({name!r}, arguments)").unwrap()
    worst = max((_units_off(y, exact.value(name, x)), x) for x, y in zip(arguments, got, strict=True))
    assert worst[0] <= LOOSE.get(name, 1.0), worst


@pytest.mark.parametrize("name", OF_TWO)
def test_a_function_of_two_is_exact_to_the_last_digit(session: Session, name: str) -> None:
    chance = random.Random(name)
    one, other = ([draw(chance) for _ in range(COUNT)] for draw in OF_TWO[name])
    session.set("one", one)
    session.set("other", other)
    got = session.run(f"computed({name!r}, one, other)").unwrap()
    wanted = [exact.value_of_two(name, x, y) for x, y in zip(one, other, strict=True)]
    assert max(map(_units_off, got, wanted)) <= 1.0


def _units_off(got: float, wanted: Decimal) -> float:
    return float(abs(Decimal(got) - wanted) / Decimal(math.ulp(float(wanted))))


def test_what_programs_compare_exactly(session: Session) -> None:
    checks = (
        "math.exp(1) == math.e, math.log2(8) == 3, math.log10(1e-308) == -308, math.log10(1000) == 3, "
        "math.exp2(-1074) == 5e-324, math.log2(5e-324) == -1074"
    )
    assert set(session.run(f"[{checks}]").unwrap()) == {True}
    assert session.run("math.log2(1e-308)").unwrap() == -1023.1538532253076


@pytest.mark.parametrize("x", [-1.0, -2.0, -1e10, 0.5, "-inf"])
def test_acosh_of_less_than_one_is_an_error(session: Session, x: float | str) -> None:
    error = session.run(f"math.acosh(float({x!r}))").error
    assert error is not None
    assert "math domain error" in str(error)
