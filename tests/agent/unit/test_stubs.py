"""Tools as a model reads them."""

import ast

from cloche.agent.prompting import stub
from cloche.host_tools import FunctionTool


def plain(city: str, days: int = 3, *, unit: str = "C") -> dict[str, float]:
    """Tell the weather.

    Args:
        city: Where.
    """
    return {city: float(days), unit: 0.0}


def only(first: int, /, *rest: int, **more: str) -> None:
    r"""Say \"quoted\" and triple: '''."""


async def later(what: str) -> str:
    """Wait."""
    return what


def test_a_stub_is_python_with_types_defaults_and_text() -> None:
    text = stub(FunctionTool(plain).spec())
    assert text.startswith("def plain(city: str, days: int = 3, *, unit: str = 'C') -> dict[str, float]:\n")
    assert "Tell the weather." in text
    assert "city: Where." in text


def test_every_kind_of_parameter_makes_valid_python() -> None:
    for tool in (FunctionTool(plain), FunctionTool(only), FunctionTool(later)):
        ast.parse(stub(tool.spec()))
    assert "def only(first: int, /, *rest: int, **more: str) -> None:" in stub(FunctionTool(only).spec())


def test_coroutine_functions_are_shown_as_such() -> None:
    assert stub(FunctionTool(later).spec()).startswith("async def later(what: str) -> str:")


def test_a_docstring_cannot_end_the_stubs_string() -> None:
    tool = FunctionTool(plain, description='Ends """ here\\')
    tree = ast.parse(stub(tool.spec()))
    assert isinstance(tree.body[0], ast.FunctionDef)
    assert '"""' in (ast.get_docstring(tree.body[0]) or "")
