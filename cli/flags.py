"""The flags that several commands share, and what they mean: the sandbox, its limits and tools, the model.

Nothing heavy is imported before a flag is used: `cloche run --help` needs no Sandbox.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from cloche.cli.exit_codes import CommandError
from cloche.runtime.errors import bytes_text, count_text
from cloche.runtime.limits import LIMITS, METERINGS, LimitChanges, Limits

if TYPE_CHECKING:
    from cloche import Sandbox
    from cloche.host_tools import ToolRegistry

__all__ = [
    "MODELS_BY_KEY",
    "Commands",
    "add_limit_flags",
    "add_sandbox_flags",
    "add_tool_flag",
    "limit_text",
    "limit_value",
    "limits_from",
    "load_tools",
    "model_of_environment",
    "sandbox_from",
]

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]
"""To which a command adds its parser. The class is private, and generic for type checkers only."""

_BUILT_IN = {"ask_user": "AskUser", "read_page": "ReadPage", "web_search": "WebSearch"}
"""The built-in tools that need no settings, by their own names."""

_UNLIMITED = {"none", "off", "unlimited"}
# None lifts a limit, so a flag that was not given needs another mark.
_ABSENT = argparse.SUPPRESS
MODELS_BY_KEY = {
    "OPENAI_API_KEY": "openai/gpt-5-mini",
    "ANTHROPIC_API_KEY": "anthropic/claude-sonnet-4-5",
    "GEMINI_API_KEY": "gemini/gemini-2.5-flash",
    "MISTRAL_API_KEY": "mistral/mistral-large-latest",
    "HF_TOKEN": "huggingface/Qwen/Qwen3-Coder-480B-A35B-Instruct",
}
"""A model for each variable that may hold a key, by LiteLLM's names."""


def add_sandbox_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a sandbox to a command: tools, image, metering, seed and limits."""
    add_tool_flag(parser)
    parser.add_argument("--image", metavar="IMAGE", help="what the interpreter has, by name or folder (default: core)")
    parser.add_argument(
        "--metering", choices=tuple(METERINGS), default="fuel", help="what bounds computing (default: fuel)"
    )
    parser.add_argument("--seed", metavar="SEED", help="make randomness repeatable: a number or any text")
    add_limit_flags(parser)


def add_tool_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that names a host tool."""
    parser.add_argument(
        "--tool",
        action="append",
        default=[],
        metavar="TOOL",
        help=f"a host tool, as module:function or by name ({', '.join(_BUILT_IN)}); may be repeated",
    )


def add_limit_flags(parser: argparse.ArgumentParser) -> None:
    """Add one flag for each limit to a command."""
    liftable = [name for name, row in LIMITS.items() if row.liftable]
    lifting = f"{', '.join(liftable[:-1])} or {liftable[-1]}"
    group = parser.add_argument_group(
        "limits of one run", f"counts like 5_000_000 or 5e6, sizes like '64 MiB'; 'none' lifts {lifting}"
    )
    defaults = Limits()
    for name, row in LIMITS.items():
        group.add_argument(
            f"--{name.replace('_', '-')}",
            dest=f"limit_{name}",
            metavar={"size": "SIZE", "seconds": "SECONDS", "count": "N"}[row.kind],
            default=_ABSENT,
            help=f"{row.about} (default {limit_text(name, getattr(defaults, name))})",
            type=_reader(name),
        )


def limits_from(arguments: argparse.Namespace, default: Limits | None = None) -> Limits:
    """Return the limits that the flags ask for, else the default ones. Raises ConfigurationError naming the limit."""
    given = {name: getattr(arguments, f"limit_{name}", _ABSENT) for name in LIMITS}
    changes: Any = {name: value for name, value in given.items() if value is not _ABSENT}
    return Limits(**changes) if default is None else default.replace(**changes)


def limit_value(name: str, text: str) -> LimitChanges:
    """Return one change to the limits, from a limit's name and text. Raises ValueError naming what is wrong."""
    field = name.replace("-", "_")
    if field not in LIMITS:
        raise ValueError(f"there is no limit {name!r}; the limits are {', '.join(LIMITS)}")
    changes: Any = {field: _read(field, text)}
    Limits(**changes)
    return cast("LimitChanges", changes)


def limit_text(name: str, value: float | None) -> str:
    """Return a limit's value as people read it."""
    if value is None:
        return "unlimited"
    kind = LIMITS[name].kind
    return bytes_text(value) if kind == "size" else f"{value:g} s" if kind == "seconds" else count_text(value)


def _reader(name: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return dict(limit_value(name, text))[name]
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _read(name: str, text: str) -> int | float | str | None:
    row = LIMITS[name]
    if row.liftable and text.lower() in _UNLIMITED:
        return None
    if row.kind == "seconds":
        return _number(text)
    if row.kind == "size":
        return text.replace("_", "")
    number = _number(text)
    if number != int(number):
        raise ValueError(f"{text!r} is not a whole number")
    return int(number)


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:60]!r} is not a number")
    return number


def load_tools(references: Iterable[str]) -> "ToolRegistry":
    """Return the tools that ``--tool`` names; modules in the current folder are found too.

    Raises CommandError if a module does not import, has no such tool, or needs what is not installed.
    """
    from cloche.host_tools import ToolRegistry

    if "" not in sys.path:
        # An installed script has its own folder there instead of the caller's.
        sys.path.insert(0, "")
    registry = ToolRegistry()
    for reference in references:
        _add(registry, reference)
    return registry


def _add(registry: "ToolRegistry", reference: str) -> None:
    from cloche.host_tools import from_object

    try:
        registry.add(from_object(_full(reference)))
    except SystemExit as error:
        raise CommandError(f"--tool {reference}: importing the module ends the process; guard its main part") from error
    except ImportError as error:
        raise CommandError(f"--tool {reference}: {error}") from error
    except ValueError as error:
        # ToolDefinitionError is a ValueError.
        raise CommandError(str(error)) from error


def _full(reference: str) -> str:
    """Return a built-in tool's name as ``module:class``, and any other reference as it is."""
    if ":" in reference:
        return reference
    if reference not in _BUILT_IN:
        raise CommandError(
            f"--tool {reference}: no built-in tool has this name (there are {', '.join(_BUILT_IN)}); "
            "write one of your own as module:function, for example shop.tools:lookup"
        )
    return f"cloche.host_tools.builtin:{_BUILT_IN[reference]}"


def sandbox_from(arguments: argparse.Namespace, tools: "ToolRegistry") -> "Sandbox":
    """Return a sandbox with these tools and the limits, metering and seed of the flags.

    Raises ConfigurationError for limits that cannot work together.
    """
    from cloche import Image, Sandbox
    from cloche.cli.output import compiling
    from cloche.runtime.wasm.image import GuestImage

    GuestImage.compiling = compiling
    image = None if arguments.image is None else Image(arguments.image)
    limits = limits_from(arguments, None if image is None else image.limits)
    seed = _seed(arguments.seed)
    return Sandbox(tools=tools, image=image, limits=limits, metering=arguments.metering, seed=seed)


def _seed(text: str | None) -> int | str | None:
    """Return the number that the text is, so that ``--seed 7`` is ``Sandbox(seed=7)``; else the text."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return text


def model_of_environment() -> str | None:
    """Return the name of the first model whose key is set, None if there is none."""
    return next((model for key, model in MODELS_BY_KEY.items() if os.environ.get(key)), None)
