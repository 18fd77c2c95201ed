"""Mathematical functions to 60 digits, in decimal arithmetic: what the guest's are measured against."""

from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from functools import cache

Function = Callable[[Decimal], Decimal]

CONTEXT = Context(prec=60, Emin=-99_999, Emax=99_999)
ONE, TWO = Decimal(1), Decimal(2)


def _sine(x: Decimal) -> Decimal:
    """By its series; x is small."""
    term = total = x
    n = 1
    while term and total + term * Decimal("1e-70") != total + term:
        n += 2
        term = -term * x * x / (n * (n - 1))
        if abs(term) < abs(total) * Decimal("1e-65"):
            break
        total += term
    return total


def _atan_small(x: Decimal) -> Decimal:
    total = power = x
    n = 1
    while power and abs(power) > abs(total) * Decimal("1e-65"):
        n += 2
        power = -power * x * x
        total += power / n
    return total


@cache
def pi() -> Decimal:
    """Machin's formula, with digits for the reduction of large arguments."""
    with localcontext(CONTEXT) as context:
        context.prec = 420
        total = Decimal(0)
        for weight, divisor in ((16, 5), (-4, 239)):
            power, n = Decimal(weight) / divisor, 1
            while abs(power) > Decimal("1e-415"):
                total += power / n * (-1 if n % 4 == 3 else 1)
                power /= divisor * divisor
                n += 2
        return total


def _reduced(x: Decimal) -> tuple[Decimal, int]:
    """x less a multiple of half pi, and that multiple, modulo 4."""
    with localcontext(CONTEXT) as context:
        context.prec = 420
        quarters = (x / (pi() / 2)).to_integral_value()
        return x - quarters * (pi() / 2), int(quarters) % 4


def _cosine(x: Decimal) -> Decimal:
    half = _sine(x / 2)
    return 1 - 2 * half * half


def sin(x: Decimal) -> Decimal:
    """The sine of any x."""
    rest, quarter = _reduced(x)
    rest = +rest
    value = _cosine(rest) if quarter % 2 else _sine(rest)
    return -value if quarter >= 2 else value


def cos(x: Decimal) -> Decimal:
    """The cosine of any x."""
    rest, quarter = _reduced(x)
    rest = +rest
    value = _sine(rest) if quarter % 2 else _cosine(rest)
    return -value if quarter in (1, 2) else value


def tan(x: Decimal) -> Decimal:
    """The tangent of any x."""
    return sin(x) / cos(x)


def atan(x: Decimal) -> Decimal:
    """The arc tangent: three times halved, then by its series."""
    for _ in range(3):
        x = x / (1 + (1 + x * x).sqrt())
    return 8 * _atan_small(x)


def asin(x: Decimal) -> Decimal:
    """The arc sine of x between -1 and 1."""
    if abs(x) == 1:
        return +(pi() / 2) * x
    return atan(x / ((1 - x) * (1 + x)).sqrt())


def acos(x: Decimal) -> Decimal:
    """The arc cosine of x between -1 and 1, without cancellation near 1."""
    return 2 * atan(((1 - x) / (1 + x)).sqrt()) if x > -1 else +pi()


def erf(x: Decimal) -> Decimal:
    """The error function, by its series, with digits for what cancels."""
    with localcontext(CONTEXT) as context:
        context.prec = 60 + int(x * x)
        total = term = x
        n = 0
        while abs(term) > abs(total) * Decimal("1e-62"):
            n += 1
            term = -term * x * x / n
            total += term / (2 * n + 1)
        return 2 * total / pi().sqrt()


def erfc(x: Decimal) -> Decimal:
    """One less the error function, also where it is tiny."""
    with localcontext(CONTEXT) as context:
        context.prec = 120 + 2 * int(x * x)
        total = term = x
        n = 0
        while abs(term) > Decimal(10) ** (-70 - int(x * x)):
            n += 1
            term = -term * x * x / n
            total += term / (2 * n + 1)
        return 1 - 2 * total / pi().sqrt()


def gamma(x: Decimal) -> Decimal:
    """The gamma function of positive x: Stirling's series far out, and the way back from there."""
    shift = Decimal(1)
    while x < 60:
        shift *= x
        x += 1
    return log_stirling(x).exp() / shift


def log_stirling(x: Decimal) -> Decimal:
    """The logarithm of the gamma function, for x of 60 or more."""
    total = (x - Decimal("0.5")) * x.ln() - x + (2 * pi()).ln() / 2
    power = x
    for numerator, denominator in _BERNOULLI:
        total += Decimal(numerator) / denominator / power
        power *= x * x
    return total


# B(2k) / (2k (2k - 1)) for k from 1.
_BERNOULLI = (
    (1, 12),
    (-1, 360),
    (1, 1260),
    (-1, 1680),
    (1, 1188),
    (-691, 360360),
    (1, 156),
    (-3617, 122400),
    (43867, 244188),
    (-174611, 125400),
    (77683, 5796),
)


def _with_digits(function: Function) -> Function:
    """For formulas that cancel: with as many digits again as a double's exponent may take."""

    def computed(x: Decimal) -> Decimal:
        with localcontext(CONTEXT) as context:
            context.prec = 60 + max(0, -2 * x.adjusted())
            return function(x)

    return computed


FUNCTIONS: dict[str, Function] = {
    "exp": lambda x: x.exp(),
    "exp2": lambda x: (x * TWO.ln()).exp(),
    "expm1": _with_digits(lambda x: x.exp() - 1),
    "log": lambda x: x.ln(),
    "log2": lambda x: x.ln() / TWO.ln(),
    "log10": lambda x: x.log10(),
    "log1p": _with_digits(lambda x: (1 + x).ln()),
    "sinh": _with_digits(lambda x: (x.exp() - (-x).exp()) / 2),
    "cosh": lambda x: (x.exp() + (-x).exp()) / 2,
    "tanh": _with_digits(lambda x: 1 - 2 / ((2 * x).exp() + 1)),
    "asinh": _with_digits(lambda x: (x + (x * x + 1).sqrt()).ln() if x >= 0 else -(-x + (x * x + 1).sqrt()).ln()),
    "acosh": lambda x: (x + ((x - 1) * (x + 1)).sqrt()).ln(),
    "atanh": _with_digits(lambda x: ((1 + x) / (1 - x)).ln() / 2),
    "sqrt": lambda x: x.sqrt(),
    "cbrt": lambda x: (abs(x).ln() / 3).exp().copy_sign(x),
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "asin": asin,
    "acos": acos,
    "atan": atan,
    "erf": erf,
    "erfc": erfc,
    "gamma": gamma,
}
OF_TWO: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "pow": lambda x, y: (y * x.ln()).exp(),
    "hypot": lambda x, y: (x * x + y * y).sqrt(),
    "atan2": lambda y, x: atan(y / x),
}


def value(name: str, x: float) -> Decimal:
    """The function of exactly this double."""
    with localcontext(CONTEXT):
        return FUNCTIONS[name](Decimal(x))


def value_of_two(name: str, x: float, y: float) -> Decimal:
    """The function of exactly these doubles, both positive."""
    with localcontext(CONTEXT):
        return OF_TWO[name](Decimal(x), Decimal(y))
