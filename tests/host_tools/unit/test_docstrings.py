import pytest

from cloche.host_tools.signature import Docstring, parse_docstring

TEXT = """Look up the weather.

    Uses the nearest station.

    Args:
        city: Its name,
            in English: as on maps.
        days (int): How many.
        *more: Further cities.

    Returns:
        One line per day.
    """


def test_the_parts_of_a_docstring() -> None:
    found = parse_docstring(TEXT)
    assert found.lead == "Look up the weather.\n\nUses the nearest station."
    assert found.arguments == {
        "city": "Its name, in English: as on maps.",
        "days": "How many.",
        "more": "Further cities.",
    }
    assert found.full.startswith("Look up")
    assert "\n    city: Its name,\n" in found.full


@pytest.mark.parametrize("text", [None, "", "   \n "])
def test_no_docstring_is_an_empty_one(text: str | None) -> None:
    assert parse_docstring(text) == Docstring()


def test_text_without_sections_is_all_lead() -> None:
    assert parse_docstring("Note that it: works.\n  Really").lead == "Note that it: works.\nReally"


def test_an_empty_section_of_arguments_has_none() -> None:
    assert parse_docstring("Do.\n\nArgs:\n\nReturns:\n    x: y").arguments == {}


def test_lines_before_the_first_entry_belong_to_no_argument() -> None:
    assert parse_docstring("Args:\n    as usual\n    a: b").arguments == {"a": "b"}
