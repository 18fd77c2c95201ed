"""Programs for CPython and the guest to differ on: expressions of the library, with arguments drawn by chance."""

import random
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

__all__ = ["AREAS", "Draw", "filled", "programs", "read_areas"]

Draw = Callable[[random.Random], str]

_INTS = [
    0,
    1,
    -1,
    2,
    3,
    7,
    10,
    31,
    32,
    63,
    64,
    100,
    255,
    256,
    1000,
    2**31 - 1,
    2**31,
    2**32,
    2**53 + 1,
    2**63 - 1,
    2**63,
]
_INTS.extend([-value for value in _INTS[4:]] + [10**20, -(10**30), 123456789012345678901234567890])
_FLOATS = ["0.0", "-0.0", "0.1", "-1.5", "2.5", "3.5", "1e16", "1e17", "1e-5", "1e22", "1e23", "123456.789", "-1e-300"]
_FLOATS.extend(["5e-324", "1.7976931348623157e308", "float('inf')", "float('-inf')", "float('nan')", "0.5", "1/3"])
_TEXTS = ["", "a", "abc", "Hello World", "ünïcödé", "ß", "ﬁ", "日本語", "a\tb\nc", "  pad  ", "x,y;z", "😀", "İı", "Ǆ"]
_TEXTS.extend(
    [
        "1234",
        "-1_000",
        "0x1f",
        "1e5",
        "nan",
        "%s",
        "{}",
        "a-b_c",
        "CamelCase",
        "'\"\\",
        "\x00\x7f",
        "٣٤",
        "½",
        "ΑΣ",
    ]
)
_FLAGS = ["", "<", ">", "^", "=", "*<", "0", "+", " ", "-", "#", "#0", ",", "_", "z", "08", "<+", ">#"]
_HANDLERS = ["strict", "ignore", "replace", "backslashreplace", "xmlcharrefreplace", "surrogateescape"]
_KINDS = ["", "d", "b", "o", "x", "X", "c", "n", "e", "E", "f", "F", "g", "G", "%", "s", "r"]


def _int(r: random.Random) -> str:
    return str(
        r.choice(_INTS) if r.random() < 0.6 else r.randrange(-(10 ** r.randrange(1, 25)), 10 ** r.randrange(1, 25))
    )


def _small(r: random.Random) -> str:
    return str(r.randrange(-6, 20))


def _float(r: random.Random) -> str:
    return r.choice(_FLOATS) if r.random() < 0.5 else repr(r.uniform(-1, 1) * 10.0 ** r.randrange(-20, 20))


def _other(r: random.Random) -> str:
    return r.choice(["True", "False", "1j", "(2-3.5j)"])


def _none(r: random.Random) -> str:
    return "None"


def _number(r: random.Random) -> str:
    return r.choice([_int, _small, _float, _float, _other])(r)


def _text(r: random.Random) -> str:
    return repr(
        r.choice(_TEXTS) if r.random() < 0.7 else "".join(r.choices("abc ABC,.-_0129 äß\n\t", k=r.randrange(12)))
    )


def _bytes(r: random.Random) -> str:
    return repr(bytes(r.choices(b"abcXYZ019 ,\n\x00\x80\xff\xc3\xa9", k=r.randrange(12))))


def _any(r: random.Random) -> str:
    return r.choice([_number, _text, _bytes, _list, _dict, _none])(r)


def _list(r: random.Random) -> str:
    return f"[{', '.join(r.choice([_small, _number, _text])(r) for _ in range(r.randrange(6)))}]"


def _numbers(r: random.Random) -> str:
    draw = r.choice([_small, _float, _int])
    return f"[{', '.join(draw(r) for _ in range(r.randrange(8)))}]"


def _texts(r: random.Random) -> str:
    return f"[{', '.join(_text(r) for _ in range(r.randrange(6)))}]"


def _dict(r: random.Random) -> str:
    return "{" + ", ".join(f"{r.choice([_text, _small])(r)}: {_number(r)}" for _ in range(r.randrange(5))) + "}"


def _spec(r: random.Random) -> str:
    width, precision = r.choice(["", str(r.randrange(25))]), r.choice(["", f".{r.randrange(18)}"])
    return f"{r.choice(_FLAGS)}{width}{r.choice(['', '', ',', '_'])}{precision}{r.choice(_KINDS)}"


def _percent(r: random.Random) -> str:
    flag, width, precision = (
        r.choice(["", "-", "+", "0", "#", " "]),
        r.choice(["", "8", "3"]),
        r.choice(["", ".3", ".0"]),
    )
    return f"%{flag}{width}{precision}{r.choice('diouxXeEfFgGcrsa%q')}"


def _when(r: random.Random) -> str:
    return (
        f"datetime.datetime({r.randrange(1, 9999)}, {r.randrange(1, 13)}, {r.randrange(1, 29)}, {r.randrange(24)}, "
        f"{r.randrange(60)}, {r.randrange(60)}, {r.randrange(10**6)})"
    )


def _letters(r: random.Random) -> str:
    return repr(
        " ".join("%" + r.choice("aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%-d#Y") for _ in range(r.randrange(1, 5)))
    )


def _pattern(r: random.Random) -> str:
    parts = [
        r"\w",
        r"\d",
        ".",
        "a",
        "[a-c]",
        "[^x]",
        r"\s",
        "b",
        r"\b",
        "(a|b)",
        "(?:c)",
        "(?P<n>.)",
        "^",
        "$",
        "(?=a)",
        r"\1",
    ]
    return repr(
        "".join(r.choice(parts) + r.choice(["", "", "*", "+", "?", "{2}", "*?"]) for _ in range(r.randrange(1, 5)))
    )


def _encoding(r: random.Random) -> str:
    names = [
        "utf-8",
        "utf-16",
        "utf-16-le",
        "utf-32",
        "latin-1",
        "ascii",
        "cp1252",
        "cp437",
        "utf-7",
        "utf-8-sig",
        "idna",
    ]
    return repr(
        r.choice(
            [*names, "punycode", "shift_jis", "gb18030", "koi8-r", "unicode_escape", "raw_unicode_escape", "no-such"]
        )
    )


_DRAWS: dict[str, Draw] = {
    "I": _int, "S": _small, "F": _float, "N": _number, "T": _text, "B": _bytes, "L": _list, "M": _numbers, "W": _texts,
    "D": _dict, "A": _any, "P": lambda r: repr(_spec(r)), "Q": lambda r: repr(_percent(r)), "K": _when, "Z": _letters,
    "R": _pattern, "E": _encoding,
    "O": lambda r: r.choice(["+", "-", "/", "//", "%", "&", "|", "^", ">>", "<", "==", ">=", "@"]),
    "H": lambda r: repr(r.choice(_HANDLERS)),
    "X": lambda r: r.choice(["math", "cmath"]),
    "Y": lambda r: repr(r.choice(["md5", "sha1", "sha256", "sha512", "blake2b", "sha3_256", "shake_128"])),
}  # fmt: skip
"""What a letter in braces stands for in the expressions below."""


def read_areas(path: Path) -> dict[str, list[str]]:
    """Return the expressions of a table by area, in which letters in braces stand for what is drawn."""
    areas = tomllib.loads(path.read_text(encoding="utf-8"))["areas"]
    return {area: [line for line in lines.splitlines() if line] for area, lines in areas.items()}


AREAS = read_areas(Path(__file__).with_name("expressions.toml"))
"""Expressions of the standard library, by area."""


def filled(template: str, draws: Mapping[str, Draw], r: random.Random) -> str:
    """Return an expression with what its letters stand for."""
    for letter, draw in draws.items():
        while f"{{{letter}}}" in template:
            template = template.replace(f"{{{letter}}}", draw(r), 1)
    return template.replace("{{", "{").replace("}}", "}")


def programs(seed: int) -> Iterator[str]:
    """Yield programs without end, the same for the same seed: a few statements, of which each prints what it gives."""
    r = random.Random(seed)
    templates = [each for area in AREAS.values() for each in area]
    while True:
        names = [f"v{index}" for index in range(r.randrange(1, 4))]
        yield "\n".join(f"{name} = {filled(r.choice(templates), _DRAWS, r)}\nshow({name})" for name in names)
