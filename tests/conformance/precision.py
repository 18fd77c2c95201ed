"""``make precision``: each function of math and cmath in the guest against correctly rounded results (MPFR, MPC)."""

import argparse
import cmath
import importlib
import math
import random
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from cloche import Limits, Sandbox, Session

__all__ = ["FUNCTIONS", "Function", "Precision", "measured", "opened"]

# It has no types.
gmpy2: Any = importlib.import_module("gmpy2")

INSIDE = Path(__file__).with_name("inside_precision.py")
LIMITS = Limits(fuel=None, time=600, result="64 MiB", memory="1 GiB")
_BATCH = 10_000
_BITS = 160
Arguments = tuple[Any, ...]
Draw = Callable[[random.Random], Any]
Reference = Callable[..., Any]


@dataclass(frozen=True)
class Function:
    """A function, how its arguments are drawn, and what gives the same with as many bits as are asked for."""

    name: str
    draws: tuple[Draw, ...]
    reference: Reference

    @property
    def max_ulp(self) -> int:
        """Return how far results may be from correctly rounded ones: 1, but for exceptions that are known."""
        return MUSL.get(self.name, CPYTHON.get(self.name, 1))

    @property
    def module(self) -> str:
        """Return ``math`` or ``cmath``."""
        return self.name.partition(".")[0]


@dataclass
class Precision:
    """What was found of one function: in units in the last place of the correctly rounded result."""

    function: Function
    count: int = 0
    inexact: int = 0
    max_ulp: int = 0
    worst: Arguments = ()
    native_ulp: int = 0
    unlike: int = 0
    """How many results are no number where there is one, or the other way round."""

    @property
    def holds(self) -> bool:
        """Tell whether all of them are as near as they should be."""
        return self.max_ulp <= self.function.max_ulp and not self.unlike


def _bits(r: random.Random) -> float:
    while True:
        (value,) = struct.unpack("<d", r.randbytes(8))
        if math.isfinite(value):
            return float(value)


def _scaled(low: int, high: int) -> Draw:
    """Return a draw of numbers of either sign with a magnitude from ``2**low`` to ``2**high``."""

    def draw(r: random.Random) -> float:
        return math.ldexp(r.choice((-1, 1)) * r.uniform(1, 2), r.randrange(low, high))

    return draw


def _between(low: float, high: float) -> Draw:
    return lambda r: r.uniform(low, high)


def _near(value: float, exponent: int = -50) -> Draw:
    return lambda r: value + math.ldexp(r.uniform(-1, 1), r.randrange(exponent, -1))


def _one_of(*draws: Draw) -> Draw:
    return lambda r: r.choice(draws)(r)


def _whole(low: int, high: int) -> Draw:
    return lambda r: float(r.randint(low, high))


_ANY = _one_of(_bits, _scaled(-40, 40), _scaled(-5, 5), _between(-20, 20))
_UNIT = _one_of(_between(-1, 1), _scaled(-60, 0), _near(1.0), _near(-1.0))
_POSITIVE = _one_of(lambda r: abs(_bits(r)), lambda r: abs(_scaled(-5, 5)(r)), _near(1.0))
_EXPONENT = _one_of(_between(-745, 710), _scaled(-60, 9), _between(-2, 2), _bits)
_ANGLE = _one_of(_between(-10, 10), _scaled(-60, 60), _bits, lambda r: r.randrange(1000) * math.pi / 4)
_SUMMED = _one_of(_scaled(-40, 40), _scaled(-5, 5))
_GAMMA = _one_of(_between(-170, 171), _between(0, 10), _scaled(-60, 7), _near(1.0), _near(2.0))
_PART = _one_of(_between(-5, 5), _scaled(-30, 8), _near(1.0, -30), _near(-1.0, -30), lambda r: 0.0)


def _list(part: Draw) -> Draw:
    return lambda r: [part(r) for _ in range(4)]


def _complex(part: Draw) -> Draw:
    return lambda r: complex(part(r), part(r))


def _lgamma(x: Any) -> Any:
    return gmpy2.lgamma(x)[0]


def _dist(p: Any, q: Any) -> Any:
    return gmpy2.sqrt(sum((one - other) ** 2 for one, other in zip(p, q, strict=True)))


def _sum(parts: Any) -> Any:
    return float(sum(Fraction(float(part)) for part in parts))


def _product(p: Any, q: Any) -> Any:
    return float(sum(Fraction(float(one)) * Fraction(float(other)) for one, other in zip(p, q, strict=True)))


def _same(function: Callable[..., Any]) -> Reference:
    """Return as a reference what has no error by its nature, and is the host's."""
    return lambda *arguments: function(*map(float, arguments))


def _degrees(x: Any) -> Any:
    return x * 180 / gmpy2.const_pi()


def _radians(x: Any) -> Any:
    return x * gmpy2.const_pi() / 180


_MATH: list[tuple[str, tuple[Draw, ...], Reference]] = [
    ("acos", (_UNIT,), gmpy2.acos),
    ("acosh", (_one_of(_POSITIVE, _scaled(0, 60), _near(1.0)),), gmpy2.acosh),
    ("asin", (_UNIT,), gmpy2.asin),
    ("asinh", (_ANY,), gmpy2.asinh),
    ("atan", (_ANY,), gmpy2.atan),
    ("atan2", (_ANY, _ANY), gmpy2.atan2),
    ("atanh", (_UNIT,), gmpy2.atanh),
    ("cbrt", (_ANY,), gmpy2.cbrt),
    ("ceil", (_ANY,), _same(math.ceil)),
    ("copysign", (_ANY, _ANY), _same(math.copysign)),
    ("cos", (_ANGLE,), gmpy2.cos),
    ("cosh", (_EXPONENT,), gmpy2.cosh),
    ("degrees", (_ANY,), _degrees),
    ("dist", (_list(_SUMMED), _list(_SUMMED)), _dist),
    ("erf", (_one_of(_between(-7, 7), _scaled(-60, 3)),), gmpy2.erf),
    ("erfc", (_one_of(_between(-7, 28), _scaled(-60, 3)),), gmpy2.erfc),
    ("exp", (_EXPONENT,), gmpy2.exp),
    ("exp2", (_one_of(_between(-1075, 1025), _EXPONENT, _whole(-1074, 1023)),), gmpy2.exp2),
    ("expm1", (_EXPONENT,), gmpy2.expm1),
    ("fabs", (_ANY,), _same(math.fabs)),
    ("floor", (_ANY,), _same(math.floor)),
    ("fma", (_ANY, _ANY, _ANY), gmpy2.fma),
    ("fmod", (_scaled(-40, 40), _scaled(-20, 20)), gmpy2.fmod),
    ("frexp", (_ANY,), _same(math.frexp)),
    ("fsum", (_list(_SUMMED),), _sum),
    ("gamma", (_GAMMA,), gmpy2.gamma),
    ("hypot", (_ANY, _ANY), gmpy2.hypot),
    ("lgamma", (_one_of(_GAMMA, _scaled(0, 100)),), _lgamma),
    ("log", (_POSITIVE,), gmpy2.log),
    ("log10", (_POSITIVE,), gmpy2.log10),
    ("log1p", (_one_of(_between(-1, 5), _scaled(-60, 0), _POSITIVE),), gmpy2.log1p),
    ("log2", (_POSITIVE,), gmpy2.log2),
    ("modf", (_ANY,), _same(math.modf)),
    ("nextafter", (_ANY, _ANY), _same(math.nextafter)),
    ("pow", (_POSITIVE, _one_of(_between(-5, 5), _scaled(-40, 8), _whole(-30, 30))), lambda x, y: x**y),
    ("radians", (_ANY,), _radians),
    ("remainder", (_scaled(-40, 40), _scaled(-20, 20)), gmpy2.remainder),
    ("sin", (_ANGLE,), gmpy2.sin),
    ("sinh", (_EXPONENT,), gmpy2.sinh),
    ("sqrt", (_POSITIVE,), gmpy2.sqrt),
    ("sumprod", (_list(_SUMMED), _list(_SUMMED)), _product),
    ("tan", (_ANGLE,), gmpy2.tan),
    ("tanh", (_one_of(_between(-22, 22), _scaled(-60, 5)),), gmpy2.tanh),
    ("trunc", (_ANY,), _same(math.trunc)),
    ("ulp", (_ANY,), _same(math.ulp)),
]
_OF_ONE_COMPLEX = "acos acosh asin asinh atan atanh cos cosh exp log log10 phase sin sinh sqrt tan tanh"
_CMATH: list[tuple[str, tuple[Draw, ...], Reference]] = [
    *((name, (_complex(_PART),), getattr(gmpy2, name)) for name in _OF_ONE_COMPLEX.split()),
    ("polar", (_complex(_PART),), lambda z: (abs(z), gmpy2.phase(z))),
    ("rect", (_POSITIVE, _between(-10, 10)), lambda r, phi: gmpy2.mpc(r * gmpy2.cos(phi), r * gmpy2.sin(phi))),
]
MUSL = {"math.acosh": 2, "math.erfc": 2, "math.sinh": 2, "math.tanh": 2}
"""Functions of the C library that are further off than 1 unit, and how far: those of other systems are no nearer."""

CPYTHON = {
    "math.gamma": 7,
    "math.lgamma": 7,
    "cmath.log": 2,
    "cmath.log10": 3,
    "cmath.tan": 7,
    "cmath.tanh": 7,
    **{f"cmath.{name}": 4 for name in ("acos", "acosh", "asin", "asinh", "cos", "cosh", "sin", "sinh")},
    **{f"cmath.{name}": 3 for name in ("atan", "atanh", "exp", "sqrt")},
}
"""Those that CPython computes by formulas of its own, and how far off these are: the same on every system."""

FROM_ONE = ("math.lgamma", "cmath.log", "cmath.log10")
"""Those formulas lose places where they cross zero: results below 1 are measured in the units of 1."""

FUNCTIONS = [
    *(Function(f"math.{name}", draws, reference) for name, draws, reference in _MATH),
    *(Function(f"cmath.{name}", draws, reference) for name, draws, reference in _CMATH),
]


def _exact(function: Function, arguments: Arguments) -> Any:
    """Return the correctly rounded result; a name of an error where there is none."""
    found = function.reference(*map(_precise, arguments))
    if isinstance(found, tuple):
        return tuple(float(each) for each in found)
    if isinstance(found, int):
        return found
    return complex(found) if function.module == "cmath" and function.name != "cmath.phase" else float(found)


def _precise(value: Any) -> Any:
    if isinstance(value, list):
        return [gmpy2.mpfr(each) for each in value]
    return gmpy2.mpc(value) if isinstance(value, complex) else gmpy2.mpfr(value)


def _order(value: float) -> int:
    """Return a number that grows by one from each float to the next."""
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    return int(bits) if bits >= 0 else -(int(bits) & 0x7FFFFFFFFFFFFFFF)


def _distance(found: Any, exact: Any, from_one: bool = False) -> int | None:
    """Return how many floats lie between two results; None if one of them is no number and the other is."""
    if isinstance(exact, int):
        return 0 if found == exact else None
    if isinstance(exact, (complex, tuple)):
        if isinstance(found, str):
            return 0 if not all(map(math.isfinite, _parts(exact))) else None
        parts = [_distance(*pair, from_one) for pair in zip(_parts(found), _parts(exact), strict=True)]
        return None if None in parts else max(part for part in parts if part is not None)
    if isinstance(found, str) or not math.isfinite(found):
        return 0 if not math.isfinite(exact) else None
    if math.isnan(exact):
        return None
    if from_one and abs(exact) < 1:
        return int(abs(found - exact) / sys.float_info.epsilon + 0.5)
    return abs(_order(found) - _order(min(max(exact, -sys.float_info.max), sys.float_info.max)))


def _parts(value: Any) -> tuple[float, ...]:
    return (value.real, value.imag) if isinstance(value, complex) else tuple(value)


def opened() -> Session:
    """Return a session in which functions can be measured."""
    session = Sandbox(limits=LIMITS, metering="epoch").session()
    session.run(INSIDE.read_text(encoding="utf-8")).unwrap()
    return session


def measured(session: Session, function: Function, count: int, seed: int = 1) -> Precision:
    """Return how near a function's results come for so many arguments."""
    r, precision = random.Random(f"{seed} {function.name}"), Precision(function)
    native = getattr({"math": math, "cmath": cmath}[function.module], function.name.partition(".")[2], None)
    with gmpy2.context(precision=_BITS):
        for begin in range(0, count, _BATCH):
            arguments = [tuple(draw(r) for draw in function.draws) for _ in range(min(_BATCH, count - begin))]
            session.set("arguments", [list(each) for each in arguments])
            module, _, name = function.name.partition(".")
            there = session.run(f"results({module!r}, {name!r}, arguments)").unwrap()
            for each, found in zip(arguments, there, strict=True):
                _judge(precision, each, found, native)
    return precision


def _judge(precision: Precision, arguments: Arguments, found: Any, native: Callable[..., Any] | None) -> None:
    exact = _exact(precision.function, arguments)
    from_one = precision.function.name in FROM_ONE
    distance = _distance(found, exact, from_one)
    precision.count += 1
    if distance is None:
        precision.unlike += 1
        precision.worst = arguments
        return
    precision.inexact += distance > 0
    if distance > precision.max_ulp:
        precision.max_ulp, precision.worst = distance, arguments
    if native is not None:
        precision.native_ulp = max(precision.native_ulp, _distance(_native(native, arguments), exact, from_one) or 0)


def _native(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    try:
        return function(*arguments)
    except (ValueError, OverflowError) as error:
        return type(error).__name__


def _lines(found: Iterator[Precision]) -> Iterator[tuple[str, bool]]:
    for each in found:
        share = 100 * each.inexact / max(1, each.count)
        line = f"{each.function.name:15} {each.max_ulp:20} {each.native_ulp:20} {share:6.2f} % {each.unlike:6}"
        yield line + ("" if each.holds else f"  FAILS at {each.worst}"), each.holds


def main() -> int:
    """Measure each function, or those that are named, and fail if one is further off than it may be."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.precision", description=__doc__)
    parser.add_argument("functions", nargs="*", help="such as math.exp")
    parser.add_argument("--count", type=int, default=100_000, help="arguments of each (default 100000)")
    parser.add_argument("--seed", type=int, default=1, help="what they follow from (default 1)")
    arguments = parser.parse_args()
    wanted = [each for each in FUNCTIONS if not arguments.functions or each.name in arguments.functions]
    print("function                     max ulp   max ulp, this host  inexact unlike")
    with opened() as session:
        held = True
        for line, holds in _lines(measured(session, each, arguments.count, arguments.seed) for each in wanted):
            print(line, flush=True)
            held = held and holds
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
