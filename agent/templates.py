"""Prompt templates by smolagents' names: read and set one by one, given as a whole, and with the variables they use."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, cast

from cloche.agent.prompting import PromptTemplates, load_prompts, stub
from cloche.host_tools import Tool
from cloche.runtime.errors import ConfigurationError

__all__ = ["TemplateNames", "ToolText", "prompts_of"]

_OTHER_NAMES = {
    "system_prompt": "system",
    "planning.initial_plan": "plan",
    "managed_agent.task": "managed_task",
    "final_answer.post_messages": "last_answer",
}


class TemplateNames(MutableMapping[str, str]):
    """An agent's templates by name; ``"system_prompt"`` is ``"system"``. Setting one counts from the next step."""

    def __init__(self, current: Callable[[], PromptTemplates], replace: Callable[[PromptTemplates], None]) -> None:
        self._current = current
        self._replace = replace

    def __getitem__(self, name: str) -> str:
        return self._current().as_dict()[_OTHER_NAMES.get(name, name)]

    def __setitem__(self, name: str, text: str) -> None:
        self._replace(PromptTemplates.of({_OTHER_NAMES.get(name, name): text}, over=self._current()))

    def __delitem__(self, name: str) -> None:
        raise ConfigurationError("prompt_templates", f"{name!r} cannot be left out: set it to another text")

    def __iter__(self) -> Iterator[str]:
        return iter(["system_prompt", *(name for name in self._current().as_dict() if name != "system")])

    def __len__(self) -> int:
        return len(self._current().as_dict())


def prompts_of(kind: str, given: PromptTemplates | Mapping[str, Any] | str | Path | None) -> PromptTemplates:
    """Return the templates of a kind of agent from what it was given; a mapping may have smolagents' names.

    Texts that have no place here are left out with a warning. Raises ConfigurationError as PromptTemplates does.
    """
    if not isinstance(given, Mapping):
        return load_prompts(kind, given)
    texts: dict[str, Any] = {}
    for name, text in _flat(given):
        if name in _OTHER_NAMES or "." not in name:
            texts[_OTHER_NAMES.get(name, name)] = text
        elif text:
            warnings.warn(f"prompt_templates: {name!r} has no place here and is left out", stacklevel=4)
    return PromptTemplates.of(texts, over=load_prompts(kind, None))


def _flat(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        if isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            yield from ((f"{name}.{key}", text) for key, text in inner.items())
        else:
            yield name, value


class _ToolView:
    """A tool as smolagents' templates describe it."""

    def __init__(self, name: str, tool: Tool) -> None:
        self.name = name
        self.description = tool.description
        self.inputs: dict[str, Any] = tool.schema["properties"]
        self.output_type = tool.output or "any"
        self._stub = stub(tool.spec(name))

    def to_code_prompt(self) -> str:
        """Return its signature and docstring."""
        return self._stub

    def to_tool_calling_prompt(self) -> str:
        """Return a line of name, description and arguments."""
        return f"{self.name}: {self.description}\n    Takes inputs: {self.inputs}"


class ToolText(str):
    """The tools as a model reads them: text, and for templates of smolagents' kind a mapping of them by name."""

    _given: Mapping[str, Tool]

    @classmethod
    def of(cls, text: str, tools: Mapping[str, Tool], left_out: Iterable[str] = ()) -> "ToolText":
        """Return the text of these tools; views of them are made when a template asks for them."""
        made = cls(text)
        made._given = {name: tool for name, tool in tools.items() if name not in left_out}
        return made

    def values(self) -> list[_ToolView]:
        """Return the tools."""
        return [_ToolView(name, tool) for name, tool in self._given.items()]

    def keys(self) -> list[str]:
        """Return their names."""
        return list(self._given)

    def items(self) -> list[tuple[str, _ToolView]]:
        """Return both."""
        return list(zip(self.keys(), self.values(), strict=True))
