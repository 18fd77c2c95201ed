"""Class tools as smolagents writes them: ``inputs``, ``output_type``, unannotated and open ``forward`` methods."""

from typing import Any, ClassVar

import pytest

from cloche.agent.prompting import stub
from cloche.host_tools import Tool, ToolDefinitionError, ToolRejected
from cloche.host_tools.policy import GuardedTools


class Find(Tool):
    name = "find"
    description = """
    Finds lines.
      The best come first."""
    inputs: ClassVar[Any] = {
        "words": {"type": "string", "description": "What to\n   look for."},
        "limit": {"type": "integer", "description": "How many.", "nullable": True},
    }
    output_type = "array"

    def __init__(self, lines: list[str], **options: Any) -> None:
        super().__init__(**options)
        self.lines = lines
        self.ready = 0

    def setup(self) -> None:
        self.ready += 1

    def forward(self, words, limit=None):  # type: ignore[no-untyped-def]
        """Look through the lines.

        Args:
            words: not this one
        """
        assert self.ready == 1
        return [line for line in self.lines if words in line][:limit]


def test_types_and_descriptions_reach_prompt_and_schema() -> None:
    tool = Find(["a", "ab"])
    assert stub(tool.spec()).splitlines() == [
        "def find(words: str, limit: int | None = None) -> list[Any]:",
        '    """Finds lines.',
        "      The best come first.",
        "",
        "    Args:",
        "        words: What to look for.",
        "        limit: How many.",
        '    """',
    ]
    words, limit = tool.schema["properties"].values()
    assert words == {"type": "string", "description": "What to look for."}
    assert (limit["anyOf"], limit["default"]) == ([{"type": "integer"}, {"type": "null"}], None)
    assert tool.schema["required"] == ["words"]


def test_arguments_are_checked_by_them() -> None:
    tool = Find(["a", "ab"])
    assert tool.invoke(["a"], {"limit": 1}) == ["a"]
    assert tool.invoke([], {"words": "a", "limit": None}) == ["a", "ab"]
    with pytest.raises(ToolRejected, match="words"):
        tool.invoke([1], {})


class Anything(Tool):
    name = "anything"
    description = "Takes anything."
    inputs: ClassVar[Any] = {"more": {"type": "number", "description": "", "nullable": True}, "a": {"type": "any"}}
    output_type = "object"
    skip_forward_signature_validation = True

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {"args": args, "kwargs": kwargs}


def test_a_forward_that_takes_anything_has_the_parameters_of_inputs() -> None:
    tool = Anything()
    assert stub(tool.spec()).startswith("def anything(a, more: float | None = None) -> dict[str, Any]:")
    assert tool.invoke([], {"a": [1], "more": 2}) == {"args": (), "kwargs": {"a": [1], "more": 2.0}}
    with pytest.raises(ToolRejected, match="'b'"):
        tool.invoke([], {"a": 1, "b": 2})


def test_an_annotation_counts_more_than_a_named_type() -> None:
    class Precise(Tool):
        name = "precise"
        description = "d"
        inputs: ClassVar[Any] = {"n": {"type": "integer", "description": "N.", "nullable": True}}
        output_type = "string"

        def forward(self, n: int = 3) -> int:
            return n

    assert stub(Precise().spec()).startswith("def precise(n: int | None = 3) -> int:")


def test_a_subclass_may_describe_an_inherited_forward() -> None:
    class Other(Find):
        name = "other"
        inputs: ClassVar[Any] = {"words": {"type": "string", "description": "Other words."}}

    assert "words: Other words." in stub(Other([]).spec())
    assert "What to look for." in stub(Find([]).spec())


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"nothing": {"type": "string"}}, "'nothing', which forward does not take"),
        ({"words": "string"}, "must be a dict with 'type'"),
        (["words"], "inputs must be a dict"),
    ],
)
def test_inputs_that_cannot_be_meant_are_refused(inputs: Any, why: str) -> None:
    with pytest.raises(ToolDefinitionError, match=why):
        type("Bad", (Find,), {"name": "bad", "inputs": inputs})


def test_a_description_that_is_set_later_is_the_one_shown() -> None:
    def look(query: str) -> str:
        """Old.

        Args:
            query: The question.
        """
        return query

    from cloche.host_tools import tool

    found = tool(look)
    found.description = "New: two tables."
    text = stub(found.spec())
    assert "Old" not in text
    assert "New: two tables." in text
    assert "query: The question." in text
    assert "New: two tables." in stub(GuardedTools([found], {}).specs()[0])


def test_parameters_may_stand_at_the_margin_of_a_docstring() -> None:
    def look(query: str) -> str:
        """Look it up.

        Parameters:
        query (str): The question.

        Returns:
        str: The answer.
        """
        return query

    from cloche.host_tools import tool

    assert tool(look).schema["properties"]["query"]["description"] == "The question."
    assert tool(look).description == "Look it up."
