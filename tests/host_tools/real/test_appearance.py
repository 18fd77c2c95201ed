"""What a program can find out about its tools, and how that follows the registry."""

from typing import Any, Literal

import pytest

from cloche.host_tools import ToolRegistry, tool
from cloche.runtime.errors import GuestException
from cloche.runtime.sandbox import Sandbox


@tool
def forecast(city: str, days: int = 3, *, unit: Literal["C", "F"] = "C") -> list[float]:
    """Tell the weather.

    Args:
        city: where, as in "Oslo"
        days: how many days ahead
        unit: the scale
    """
    return [20.5] * days


@tool
async def fetch(url: str) -> str:
    """Fetch a page."""
    return url


def run(code: str) -> Any:
    return Sandbox(tools=[forecast, fetch]).run(code).unwrap()


def test_the_signature_is_the_tools_own() -> None:
    text = run("import inspect\nstr(inspect.signature(forecast))")
    assert text == "(city: str, days: int = 3, *, unit: Literal['C', 'F'] = 'C') -> list[float]"


def test_help_shows_signature_text_and_arguments() -> None:
    shown = Sandbox(tools=[forecast]).run("help(forecast)").stdout

    assert "forecast(city: str, days: int = 3" in shown
    assert "Tell the weather." in shown
    assert "how many days ahead" in shown


def test_a_tool_is_a_function_with_name_docstring_and_annotations() -> None:
    code = "import inspect\nforecast.__name__, inspect.isfunction(forecast), forecast.__doc__.split('\\n')[0]"
    assert run(code) == ("forecast", True, "Tell the weather.")


def test_an_async_tool_is_a_coroutine_function() -> None:
    code = "import inspect\ninspect.iscoroutinefunction(fetch), inspect.iscoroutinefunction(forecast)"
    assert run(code) == (True, False)


@pytest.mark.parametrize("name", ["lookup", "__import_tool__", "forecast.__globals__['os']", "Forecast"])
def test_what_is_not_registered_does_not_exist(name: str) -> None:
    error = Sandbox(tools=[forecast]).run(f"{name}(1)").error

    assert isinstance(error, GuestException)
    assert error.type_name in ("NameError", "KeyError", "AttributeError")


@pytest.mark.parametrize("name", ["lookup", "__class__", "add.__globals__", "tools.call", "", "a" * 10_000])
def test_a_forged_call_reaches_no_more_than_the_names_registered(name: str) -> None:
    # The raw door, past every function that the guest's own Python puts in front of it.
    code = f"""
import _cloche
from cloche_guest.values import decode, encode
decode(_cloche.call(encode([0, {name!r}, [], {{}}])))
"""
    answer = run(code)

    assert answer[:2] == [1, "NameError"]


def test_a_forged_call_is_checked_like_any_other() -> None:
    code = """
import _cloche
from cloche_guest.values import decode, encode
decode(_cloche.call(encode([0, "forecast", [3], {"self": 1}])))
"""
    answer = run(code)

    assert answer[1] == "TypeError"
    assert "forecast()" in answer[2]


def test_tools_come_and_go_between_runs() -> None:
    tools = ToolRegistry()
    with Sandbox(tools=tools).session() as session:
        assert not session.run("forecast('Oslo')").ok
        tools["forecast"] = forecast
        assert session.run("forecast('Oslo', 1)").unwrap() == [20.5]
        tools["weather"] = tools.pop("forecast")
        assert session.run("weather('Oslo', 1)").unwrap() == [20.5]
        gone = session.run("forecast('Oslo', 1)").error

    assert isinstance(gone, GuestException)
    assert gone.type_name == "NameError"


def test_a_reference_kept_to_a_tool_that_is_gone_finds_nothing() -> None:
    tools = ToolRegistry([forecast])
    with Sandbox(tools=tools).session() as session:
        session.run("kept = forecast").unwrap()
        del tools["forecast"]
        error = session.run("kept('Oslo')").error

    assert isinstance(error, GuestException)
    assert error.type_name == "NameError"


def test_a_tool_replaced_is_another_one_at_once() -> None:
    tools = ToolRegistry([forecast])

    def replacement(city: str) -> str:
        """Tell less."""
        return f"rain in {city}"

    with Sandbox(tools=tools).session() as session:
        session.run("forecast('Oslo')").unwrap()
        tools["forecast"] = replacement
        seen = session.run("import inspect\nforecast('Oslo'), str(inspect.signature(forecast))").unwrap()

    assert seen == ("rain in Oslo", "(city: str) -> str")


def test_a_tool_can_register_another_for_the_next_run() -> None:
    tools = ToolRegistry()

    def greet(name: str) -> str:
        return f"hello {name}"

    @tool
    def learn() -> None:
        """Learn to greet."""
        tools["greet"] = greet

    tools.add(learn)
    with Sandbox(tools=tools).session() as session:
        session.run("learn()").unwrap()
        assert session.run("greet('you')").unwrap() == "hello you"


def test_a_variable_of_the_program_hides_a_tool_of_that_name() -> None:
    with Sandbox(tools=[forecast]).session() as session:
        assert session.run("forecast = 3\nforecast").unwrap() == 3
        # As with any other function: assigning the name loses it, deleting the variable brings no surprise.
        assert session.run("forecast").unwrap() == 3
