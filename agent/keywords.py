"""The keywords of agents: their own, those that smolagents calls otherwise, and those that are not needed here."""

import difflib
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cloche.agent.prompting import PromptTemplates
from cloche.agent.settings import AgentOptions, Settings

__all__ = ["CodeKeywords", "GivenOptions", "named_as_here", "settings_of"]


class GivenOptions(AgentOptions, total=False):
    """The keywords of :class:`AgentOptions`, and smolagents' own.

    ``verbosity_level``, ``max_print_outputs_length`` and ``prompt_templates`` are other names. ``add_base_tools`` adds
    web search and page reading, and for a ToolCallingAgent an interpreter. The rest changes nothing here, and a warning
    says why.
    """

    verbosity_level: int
    max_print_outputs_length: int | None
    prompt_templates: PromptTemplates | Mapping[str, Any] | str | Path | None
    add_base_tools: bool
    executor: Any
    executor_type: Any
    executor_kwargs: Any
    logger: Any
    max_tool_threads: int | None
    use_structured_outputs_internally: bool


class CodeKeywords(GivenOptions, total=False):
    """The same, and smolagents' for agents that write code.

    ``additional_authorized_imports`` names modules that programs will import. All that the guest holds may be imported
    anyway, so that they are looked for only, and a warning names those that are not there. ``code_block_tags`` are
    ``tags``, or ``"markdown"``.
    """

    additional_authorized_imports: Iterable[str] | None
    code_block_tags: tuple[str, str] | str | None


_OTHER_NAMES = {
    "verbosity_level": "verbosity",
    "max_print_outputs_length": "observation_limit",
    "prompt_templates": "prompts",
}
_NOT_NEEDED = {
    "executor": "programs run in the agent's own sandbox: sandbox= makes another",
    "executor_type": "programs always run in a sandbox, inside this process",
    "executor_kwargs": "programs always run in a sandbox, inside this process",
    "logger": "pass observers=[...] to follow a run, and verbosity= to print it",
    "max_tool_threads": "up to 16 tools run at once",
    "use_structured_outputs_internally": "programs are found in whatever a model writes",
}


def named_as_here(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return keywords by the names they have here, without those that change nothing; these are warned about."""
    named = {_OTHER_NAMES.get(name, name): value for name, value in options.items() if name not in _NOT_NEEDED}
    if named.get("observation_limit", 1) is None:
        # smolagents' word for its default.
        del named["observation_limit"]
    for name in options:
        if name in _NOT_NEEDED and options[name]:
            warnings.warn(f"{name}= is not needed: {_NOT_NEEDED[name]}", stacklevel=5)
    return named


def settings_of(options: Mapping[str, Any], others: Iterable[str] = ()) -> Settings:
    """Return the settings of an agent's keywords. Raises TypeError for an unknown one, naming the nearest of all."""
    named = named_as_here(options)
    known = [*AgentOptions.__annotations__, *others]
    for name in named:
        if name not in AgentOptions.__annotations__:
            near = difflib.get_close_matches(name, known, 1)
            raise TypeError(f"there is no keyword {name!r}{f': did you mean {near[0]!r}?' if near else ''}")
    return Settings(**named)
