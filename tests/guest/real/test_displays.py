"""What runs show beside their output, and its bounds."""

from pathlib import Path

import pytest

from cloche.runtime.errors import FuelExhausted, GuestException, ProtocolError
from cloche.runtime.limits import Limits
from cloche.runtime.result import Display
from cloche.runtime.sandbox import Sandbox

RICH = """
class Rich:
    def __init__(self, size=3): self.size = size
    def _repr_html_(self): return "<b>" + "x" * self.size
    def _repr_markdown_(self): return "**x**"
    def _repr_png_(self): return b"\\x89PNG\\r\\n\\x1a\\n" + bytes(self.size)
    def _repr_latex_(self): return None
    def __repr__(self): return f"Rich({self.size})"
"""


def test_a_last_value_has_the_formats_of_its_class() -> None:
    result = Sandbox().run(f"{RICH}\nRich()")
    (shown,) = result.displays
    assert (shown.kind, shown.text, shown.png) == ("value", "**x**", b"\x89PNG\r\n\x1a\n\0\0\0")
    assert list(shown.data) == ["text/html", "text/markdown", "image/png", "text/plain"]
    assert (shown.data["text/plain"], str(result.value)) == ("Rich(3)", "Rich(3)")


@pytest.mark.parametrize(
    "program", ["1", "[1, 'x']", "print", "import decimal\ndecimal.Decimal(1)", "(1, {2})", "x = 1"]
)
def test_other_values_have_none(program: str) -> None:
    assert Sandbox().run(program).displays == ()


def test_an_object_that_answers_to_any_name_is_not_asked() -> None:
    assert Sandbox().run("from unittest.mock import MagicMock\nMagicMock()").displays == ()


def test_a_bundle_of_formats_and_types_that_no_format_has() -> None:
    program = """
class Rich:
    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/html": "<i>", "image/png": "no bytes", "application/javascript": "alert(1)", 5: "x"}, {}
    def _repr_html_(self): raise ValueError("it is in the bundle")
    def _repr_svg_(self): return 5
Rich()
"""
    (shown,) = Sandbox().run(program).displays
    assert shown.data.keys() == {"text/html", "text/plain"}


def test_what_fails_says_so_and_changes_nothing_else() -> None:
    with Sandbox().session() as session:
        result = session.run(f"{RICH}\nx = 1\nRich._repr_html_ = lambda self: 1 / 0\nRich()")
        assert result.ok
        assert result.displays[0].data == {"text/plain": "it could not be shown: ZeroDivisionError: division by zero"}
        assert session.run("Rich._repr_html_ = lambda self: exit(3)\nRich()").exit_code is None
        assert session.run("x").value == 1


def test_the_limit_holds_and_says_what_was_left_out() -> None:
    sandbox = Sandbox()
    small = sandbox.run(f"{RICH}\nRich(50_000)", limits=Limits(displays=1_000)).displays[0]
    assert small.data.keys() == {"text/markdown", "text/plain"}
    assert "left out" in small.data["text/plain"]
    assert sandbox.run(f"{RICH}\nRich(1_000_000)").displays[0].data.keys() == {
        "text/html",
        "text/markdown",
        "image/png",
        "text/plain",
    }
    assert sandbox.run(f"{RICH}\nRich()", limits=Limits(displays=0)).displays == ()


def test_what_is_made_is_within_the_run() -> None:
    program = f"{RICH}\ndef slow(self):\n    while True: pass\nRich._repr_html_ = slow\nRich()"
    result = Sandbox().run(program, limits=Limits(fuel=100_000_000))
    assert isinstance(result.error, FuelExhausted)
    assert result.displays == ()


def test_values_are_shown_in_the_middle_and_of_a_program_that_fails() -> None:
    with Sandbox().session() as session:
        show = "from cloche_guest.displays import show"
        result = session.run(f"{RICH}\n{show}\nshow(Rich(), 5)\n1 / 0")
        assert isinstance(result.error, GuestException)
        assert [(each.kind, each.data["text/plain"]) for each in result.displays] == [
            ("shown", "Rich(3)"),
            ("shown", "5"),
        ]
        assert session.run("5").displays == ()
        assert len(session.run("for _ in range(300): show(1)").displays) == 100


def test_a_forged_display_ends_its_run_only() -> None:
    with Sandbox().session() as session:
        forge = "import cloche_guest.displays as d, cloche_guest.values as v\n"
        forge += "d.collect = lambda value: v.encode([['value', {'a/b': 1}]])"
        result = session.run(f"{RICH}\n{forge}\nRich()")
        assert isinstance(result.error, ProtocolError)
        assert session.run("1").value == 1


def test_displays_become_files(tmp_path: Path) -> None:
    display = Sandbox().run(f"{RICH}\nRich()").displays[0]
    names = [Path(path).name for path in display.save(tmp_path, "1-value")]
    assert names == ["1-value.html", "1-value.md", "1-value.png"]
    assert (tmp_path / "1-value.html").read_text() == "<b>xxx"
    assert Display("shown", {"text/plain": "x"}).save(tmp_path, "2")[0].endswith("2.txt")


def test_a_notebook_of_the_host_is_given_nothing_that_can_hold_a_script() -> None:
    shown = Display("value", {"text/html": "<script>", "image/png": b"no png", "text/plain": "x"})
    assert shown._repr_mimebundle_() == {"text/plain": "x"}  # pyright: ignore[reportPrivateUsage]
