"""Dates as text, and locales: as on a Linux machine that has no locales but C's."""

from collections.abc import Iterator

import pytest

from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

MOMENT = "datetime.datetime(2024, 2, 9, 15, 4, 5)"
# As glibc 2.36 has them.
TEXTS = {
    "%I:%M %P": "03:04 pm",
    "%k|%l|%e": "15| 3| 9",
    "%-d %_d %#d %05d %^a %#B %#p": "9  9 09 00009 FRI FEBRUARY pm",
    "%Q": "%Q",
    "100%": "100%",
    "%": "%",
    "%E": "%E",
    "%c": "Fri Feb  9 15:04:05 2024",
    "%x %X %r %D %F %T %R": "02/09/24 15:04:05 03:04:05 PM 02/09/24 2024-02-09 15:04:05 15:04",
    "%a %A %b %B %h": "Fri Friday Feb February Feb",
    "%C %y %g %G %V %U %W %u %w %j": "20 24 24 2024 06 05 06 5 5 040",
    "%s %n%t%%": "1707491045 \n\t%",
    "%10Y|%-10Y|%^10a": "0000002024|      2024|       FRI",
    "%Ey %OH %Ed": "24 15 %Ed",
    "": "",
    "täglich %H Uhr": "täglich 15 Uhr",
}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Sandbox().session() as session:
        session.run("import datetime, locale, time").unwrap()
        yield session


@pytest.mark.parametrize(("format", "wanted"), TEXTS.items())
def test_a_date_as_text(session: Session, format: str, wanted: str) -> None:
    assert session.run(f"{MOMENT}.strftime({format!r})").unwrap() == wanted
    assert session.run(f"time.strftime({format!r}, {MOMENT}.timetuple())").unwrap() == wanted


def test_a_long_text_is_not_cut(session: Session) -> None:
    assert session.run("time.strftime('%A' * 2_000, time.gmtime(0))").unwrap() == "Thursday" * 2_000


def test_zones_and_early_years(session: Session) -> None:
    assert session.run("time.strftime('%Z %z', time.gmtime(0))").unwrap() == "GMT +0000"
    assert session.run("time.strftime('%Z %z', time.localtime(0))").unwrap() == "UTC +0000"
    assert session.run("datetime.date(5, 1, 1).strftime('%Y %y %j')").unwrap() == "5 05 001"
    aware = "datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=-3.5)))"
    assert session.run(f"{aware}.strftime('%z %:z %Z')").unwrap() == "-0330 -03:30 UTC-03:30"


@pytest.mark.parametrize("name", ["xx_NOSUCH", "en_US.UTF-8", "de_DE", "C.latin-1", "C/x"])
def test_a_locale_that_is_not_there_is_an_error(session: Session, name: str) -> None:
    error = session.run(f"locale.setlocale(locale.LC_ALL, {name!r})").error
    assert "unsupported locale setting" in str(error)


@pytest.mark.parametrize("name", ["", "C", "POSIX", "C.UTF-8", "C.utf8"])
def test_those_that_are_there_can_be_set_and_asked_for(session: Session, name: str) -> None:
    program = f"""
before = locale.setlocale(locale.LC_ALL)
locale.setlocale(locale.LC_ALL, {name!r})
locale.setlocale(locale.LC_ALL, before)
date = time.strptime('9 Feb', '%d %b')
locale.setlocale(locale.LC_ALL) == before, locale.localeconv()['decimal_point'], f'{{1234.5:n}}', date[1:3]
"""
    assert session.run(program).unwrap() == (True, ".", "1234.5", (2, 9))
