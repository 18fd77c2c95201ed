"""wcsftime() of the guest, compiled for this machine and compared with the model: glibc's."""

import calendar
import ctypes
import platform
import random
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[3] / "guest" / "libc" / "wcsftime.c"
FIELDS = ("sec", "min", "hour", "mday", "mon", "year", "wday", "yday", "isdst")
ROOM = 300


class Moment(ctypes.Structure):
    """C's struct tm on Linux."""

    _fields_ = [*((name, ctypes.c_int) for name in FIELDS), ("gmtoff", ctypes.c_long), ("zone", ctypes.c_char_p)]


def _typed(function: Any) -> Any:
    function.restype = ctypes.c_size_t
    function.argtypes = (ctypes.c_wchar_p, ctypes.c_size_t, ctypes.c_wchar_p, ctypes.POINTER(Moment))
    return function


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("ziglang")
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the model is glibc")
    target = tmp_path_factory.mktemp("wcsftime") / "wcsftime.so"
    flags = ["-shared", "-fPIC", "-O1", "-fsanitize=undefined", "-D_GNU_SOURCE", "-Dwcsftime=ours"]
    warnings = ["-Wall", "-Wextra", "-Werror", "-std=c11"]
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *flags, *warnings, SOURCE, "-o", target], check=True)
    return _typed(ctypes.CDLL(str(target)).ours)


def _directive(chance: random.Random) -> str:
    flag = chance.choice(["", "", "_", "-", "0", "^", "#", "_^"])
    # glibc writes the letter of a %#Eb that it refuses in upper case.
    modifier = chance.choice(["", "", "E", "O"]) if flag != "#" else ""
    width = chance.choice(["", "", "", "1", "3", "12", "40"])
    letter = chance.choice(string.ascii_letters.replace("s", "") + "%Q+")
    return chance.choice(["", "x", "%%", ": "]) + "%" + flag + width + modifier + letter


def _moment(chance: random.Random) -> Moment:
    year, month = (
        chance.choice([1, 99, 1582, 1999, 2000, 2023, 2024, 9999, chance.randrange(1, 9999)]),
        chance.randint(1, 12),
    )
    day = chance.randint(1, calendar.monthrange(year, month)[1])
    weekday = (calendar.weekday(year, month, day) + 1) % 7
    in_year = sum(calendar.monthrange(year, m)[1] for m in range(1, month)) + day - 1
    cycles = 400 * chance.choice([0, 0, 0, -25, 30])  # the calendar repeats itself
    clock = [chance.randrange(62), chance.randrange(60), chance.randrange(24)]
    date = [day, month - 1, year + cycles - 1900, weekday, in_year, chance.choice([0, 0, -1])]
    return Moment(*clock, *date, chance.choice([0, 3600, -12600, -1800]), chance.choice([b"UTC", b"CEST"]))


@pytest.mark.parametrize("seed", range(4))
def test_it_writes_what_glibc_writes(ours: Any, seed: int) -> None:
    theirs, chance = _typed(ctypes.CDLL(None).wcsftime), random.Random(seed)
    for _ in range(10_000):
        format = "".join(_directive(chance) for _ in range(chance.choice([1, 1, 2]))) + chance.choice(["", "", "%"])
        moment, room = _moment(chance), chance.choice([ROOM, ROOM, 20])
        texts = [ctypes.create_unicode_buffer(ROOM) for _ in range(2)]
        lengths = [
            function(text, room, format, ctypes.byref(moment))
            for function, text in zip((ours, theirs), texts, strict=True)
        ]
        assert lengths[0] == lengths[1], (format, room)
        assert not lengths[0] or texts[0].value == texts[1].value, format


def test_nothing_is_written_outside_the_room(ours: Any) -> None:
    text = ctypes.create_unicode_buffer("z" * ROOM)
    moment = Moment(*[1] * 9, 0, b"UTC")
    assert ours(text, 0, "%c", ctypes.byref(moment)) == 0
    assert text.value == "z" * ROOM
    assert ours(text, 10, "%c", ctypes.byref(moment)) == 0
    assert set(text[10:]) == {"z", "\0"}
