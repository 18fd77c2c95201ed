"""Expressions of NumPy and pandas to differ on, natively and in the guest, with arguments drawn by chance."""

import random
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.generator import Draw, filled, read_areas

__all__ = ["AREAS", "programs"]

_WHOLE = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
_TYPES = [*_WHOLE, "float16", "float32", "float64", "complex64", "complex128"]
_NAMES = [*_TYPES, "bool", "int", "float", "O"]
_PANDAS = ["int64", "float64", "Int64", "float32", "str", "object", "category", "bool", "int8", "string", "boolean"]
_FLOATS = ["0.0", "-0.0", "0.5", "-1.5", "2.5", "1e300", "np.nan", "np.inf", "-np.inf"]
_PROPERTIES = (
    "year month day hour dayofweek dayofyear quarter is_leap_year is_month_end is_quarter_start days_in_month date time"
)
_UNARY = (
    "negative positive absolute fabs rint floor ceil trunc sqrt square cbrt reciprocal exp exp2 expm1 log log2 log10 "
    "log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh deg2rad rad2deg isnan isinf "
    "isfinite signbit logical_not invert sign spacing conjugate"
)
_BINARY = (
    "add subtract multiply divide floor_divide remainder fmod power float_power hypot arctan2 maximum minimum fmax "
    "fmin logaddexp copysign nextafter heaviside bitwise_and bitwise_or bitwise_xor left_shift right_shift logical_and"
)
_TEXTS = ["", "a", "ab", "Abc", "b a b", "  pad ", "aaa", "12", "ünï", "x,y", "Title Case"]


def _of(words: str) -> Draw:
    known = words.split()
    return lambda r: r.choice(known)


def _quoted(words: str) -> Draw:
    known = words.split()
    return lambda r: repr(r.choice(known))


def _int(r: random.Random) -> str:
    return str(r.choice([0, 1, -1, 2, 3, -4, 5, 10, 100, -128]))


def _positive(r: random.Random) -> str:
    return str(r.randrange(1, 6))


def _float(r: random.Random) -> str:
    return r.choice(_FLOATS) if r.random() < 0.5 else repr(round(r.uniform(-5, 5), r.randrange(1, 6)))


def _other(r: random.Random) -> str:
    return r.choice(["True", "1 + 2j", "2**40", "1", "1", "3"])


def _value(r: random.Random) -> str:
    return r.choice([_int, _int, _float, _other])(r)


def _mixed(r: random.Random) -> str:
    return r.choice(["None", "'a'", "1"])


def _list(r: random.Random) -> str:
    draw = r.choice([_int, _int, _float, _value, _mixed])
    return f"[{', '.join(draw(r) for _ in range(r.randrange(0, 6)))}]"


def _numbers(r: random.Random, count: int) -> str:
    draw = r.choice([_int, _float])
    return f"[{', '.join(draw(r) for _ in range(count))}]"


def _four(draw: Draw, r: random.Random) -> str:
    return f"[{', '.join(draw(r) for _ in range(4))}]"


def _vector(r: random.Random) -> str:
    """An array of a dimension, of any type."""
    kind = f", dtype={r.choice(_TYPES)!r}" if r.random() < 0.6 else ""
    if "int" not in kind:
        return f"np.array({_numbers(r, r.randrange(1, 6))}{kind})"
    return f"np.array({_four(_positive if 'uint' in kind else _small, r)}{kind})"


def _usual(r: random.Random) -> str:
    """An array of four usual numbers."""
    return f"np.array({_numbers(r, 4) if r.random() < 0.5 else _four(_small, r)})"


def _matrix(r: random.Random) -> str:
    rows = [f"[{', '.join(_small(r) for _ in range(3))}]" for _ in range(2)]
    kind = f", dtype={r.choice(_TYPES)!r}" if r.random() < 0.4 else ""
    return (
        f"np.abs(np.array([{', '.join(rows)}])).astype({r.choice(_TYPES)!r})"
        if "uint" in kind
        else (f"np.array([{', '.join(rows)}]{kind})")
    )


def _square(r: random.Random) -> str:
    one, other = r.randrange(1, 9), r.randrange(-3, 4)
    return f"np.array([[{one}.0, {other}], [{-other}, {r.randrange(1, 9)}]])"


def _small(r: random.Random) -> str:
    return str(r.randrange(-6, 10))


def _index(r: random.Random) -> str:
    places = ["0", "-1", "1", "1:", ":-1", "::2", "::-1", "1:3", "[0, 1]", "None", "...", "5", "[True, False, True]"]
    chosen = r.choice(places)
    if ":" in chosen:
        return "slice(" + ", ".join(part or "None" for part in chosen.split(":")) + ")"
    return chosen


def _series(r: random.Random) -> str:
    kind = r.choice(["", "", ", dtype='float64'", ", dtype='Int64'", ", index=list('wxyz')", ", name='n'"])
    numbers = [_small(r) for _ in range(4)]
    if r.random() < 0.3:
        numbers[r.randrange(4)] = "None"
    elif r.random() < 0.3 and "Int64" not in kind:
        numbers = [_float(r) for _ in range(4)]
    return f"pd.Series([{', '.join(numbers)}]{kind})"


def _frame(r: random.Random) -> str:
    a = [_small(r) for _ in range(3)]
    b = [r.choice([_small, _float])(r) for _ in range(3)]
    d = r.choice(["[True, False, True]", "[1.5, None, 2.0]", "pd.to_datetime(['2024-01-01', '2024-02-03', None])"])
    keys = [r.choice("xyz") for _ in range(3)]
    return f"pd.DataFrame({{'a': [{', '.join(a)}], 'b': [{', '.join(b)}], 'k': {keys}, 'd': {d}}})"


def _words(r: random.Random) -> str:
    return repr([r.choice(_TEXTS) for _ in range(r.randrange(1, 5))])


def _moment(r: random.Random) -> str:
    day = f"20{r.randrange(20, 30)}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"
    return repr(day if r.random() < 0.6 else f"{day}T{r.randrange(24):02}:{r.randrange(60):02}")


def _shape(r: random.Random) -> str:
    return r.choice(["3", "(2, 2)", "(1, 4)", "(2, 0)", "(4,)", "-1", "(2, -1)", "(0,)"])


_DRAWS: dict[str, Draw] = {
    "s1": _series, "d1": _of("sum mean min max std var median prod count any all skew sem kurt"),
    "d2": _of("sum mean min max count std median first"), "d3": _quoted("sum mean min max count std first"),
    "j2": _quoted("inner outer left"),
    "A": _vector, "a": _usual, "M": _matrix, "Q": _square, "L": _list, "I": _int, "J": _positive, "V": _value,
    "S": lambda r: str(r.randrange(0, 4)), "f": _float, "q": lambda r: repr(round(r.uniform(0.1, 5), 2)),
    "D": lambda r: repr(r.choice(_NAMES)), "E": lambda r: repr(r.choice(_PANDAS)), "H": _shape, "F": _frame,
    "X": lambda r: r.choice(["0", "1", "-1", "0", "1", "2"]), "k": _index, "W": _words, "Z": _moment,
    "C": _quoted("a b k d"), "t": lambda r: r.choice(_TYPES), "u": _of(_UNARY), "b": _of(_BINARY),
    "c": _of("equal not_equal less greater_equal greater"), "T": _of(_PROPERTIES),
    "O": lambda r: r.choice(["+", "-", "*", "/", "//", "%", "**", "<", "==", ">=", "&", "|"]),
    "r": _of("sum prod mean std var min max median nansum nanmean any all argmax argmin ptp cumsum"),
    "m": _of("sum prod mean std var min max any all argmax argmin cumsum"),
    "g": _of("random standard_normal standard_exponential exponential normal uniform gumbel logistic laplace rayleigh"),
    "s": _of("upper lower strip capitalize title isalpha isdigit isnumeric swapcase lstrip rstrip isupper"),
    "i": _quoted("ij xy"), "n": _quoted("clip wrap raise"), "o": _quoted("C F K"), "l": _of("True False"),
    "w": _quoted("constant edge reflect wrap symmetric mean"), "p": lambda r: str(r.randrange(0, 101)),
    "y": _of("D h m s ms us ns M Y W"), "Y": _quoted("D h m s ms us ns"), "G": _quoted("D h W ME MS QS YE 2D 15min B"),
    "P": _quoted("D M Y Q W h"), "e": _quoted("Int64 Int8 Float64 UInt16 boolean"),
    "h": _quoted("average min first dense"),
    "v": _of("union intersection difference symmetric_difference append"), "x": _quoted("number object bool float"),
    "N": _quoted("records list dict split index tight"), "R": _quoted("records split index columns values table"),
    "j": _quoted("inner left right outer cross"), "z": _of("Day Hour MonthEnd BusinessDay YearBegin Week QuarterEnd"),
    "U": _quoted("c python"),
}  # fmt: skip
"""What a letter in braces stands for in the expressions."""

AREAS = read_areas(Path(__file__).with_name("expressions.toml"))
"""Expressions by area."""


def programs(seed: int) -> Iterator[str]:
    """Yield programs without end, the same for a seed: each shows one expression, those of the table in order first."""
    r = random.Random(seed)
    templates = [each for area in AREAS.values() for each in area]
    yield from (f"show({filled(each, _DRAWS, r)})" for each in templates)
    while True:
        yield f"show({filled(r.choice(templates), _DRAWS, r)})"
