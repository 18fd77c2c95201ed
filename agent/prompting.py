"""Prompts: Jinja templates in YAML files, which users can replace, and tools as a model reads them."""

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from cloche.runtime._imports import need
from cloche.runtime.dispatch import ToolSpec
from cloche.runtime.errors import ConfigurationError

__all__ = ["PromptTemplates", "load_prompts", "stub", "stubs"]


_SHIPPED = Path(__file__).parent / "prompts"


@dataclass(frozen=True, slots=True)
class PromptTemplates:
    """The texts an agent uses, each a Jinja template.

    ``system``        variables: tools (stubs as Python), names (of the tools), agents, instructions; of a CodeAgent
                      also imports, packages, limits, shown (characters of an observation), tags, has_async,
                      can_gather. ``tools`` is empty where the model is given the tools' schemas beside the prompt.
    ``plan``          asks for the first plan: task, tools, listed (whether the system prompt has listed the tools).
    ``plan_update``   asks for a new plan: task, tools, steps_left.
    ``last_answer``   asks for an answer when the steps have run out: task.
    ``managed_task``  what a managed agent is given: name, task.
    ``report``        a managed agent's answer with its summary: name, answer, summary.
    """

    system: str
    plan: str
    plan_update: str
    last_answer: str
    managed_task: str
    report: str

    @classmethod
    def load(cls, path: str | Path, *, over: "PromptTemplates | None" = None) -> Self:
        """Read a YAML file that maps names to templates; those it leaves out are taken from ``over``.

        Raises ConfigurationError for an unknown or missing name, or a value that is not text.
        """
        return cls.of(_mapping(Path(path)), over=over)

    @classmethod
    def of(cls, texts: Mapping[str, Any], *, over: "PromptTemplates | None" = None) -> Self:
        """Return templates from a mapping, checked as in :meth:`load`."""
        names = {field.name for field in fields(cls)}
        for name, text in texts.items():
            if name not in names or not isinstance(text, str):
                raise ConfigurationError("prompts", f"{name!r} is not one of {', '.join(sorted(names))}, or not text")
        missing = names - set(texts)
        if missing and over is None:
            raise ConfigurationError("prompts", f"{', '.join(sorted(missing))} missing")
        return cls(**texts) if over is None else replace(over, **texts)  # type: ignore[return-value]

    def save(self, path: str | Path) -> None:
        """Write the templates to a YAML file that :meth:`load` reads, as blocks of lines; the folder must exist."""
        yaml = _extra("yaml")

        class Dumper(yaml.SafeDumper):  # type: ignore[misc,name-defined]
            """Writes texts as blocks, line by line, for people who change them."""

        def block(dumper: Any, text: str) -> Any:
            style = "|" if "\n" in text else None
            return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

        Dumper.add_representer(str, block)
        text = yaml.dump(self.as_dict(), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1_000)
        Path(path).write_text(text, encoding="utf-8")

    def as_dict(self) -> dict[str, str]:
        """Return the templates by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def render(self, name: str, /, **values: Any) -> str:
        """Return one text with its variables filled in. Raises jinja2's UndefinedError for a variable there is not."""
        return str(_template(getattr(self, name)).render(**values)).strip()


def load_prompts(kind: str, given: PromptTemplates | str | Path | None) -> PromptTemplates:
    """Return the templates of a kind of agent, with those of ``given`` in their place."""
    if isinstance(given, PromptTemplates):
        return given
    shipped = _shipped(kind)
    return shipped if given is None else PromptTemplates.load(given, over=shipped)


@lru_cache(maxsize=8)
def _shipped(kind: str) -> PromptTemplates:
    common = _mapping(_SHIPPED / "common.yaml")
    return PromptTemplates.of({**common, **_mapping(_SHIPPED / f"{kind}.yaml")})


@lru_cache(maxsize=128)
def _template(text: str) -> Any:
    sandbox, jinja2 = _extra("jinja2.sandbox"), _extra("jinja2")
    environment = sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(text)


def _mapping(path: Path) -> dict[str, Any]:
    value = _extra("yaml").safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ConfigurationError("prompts", f"{path.name} does not map names to templates")
    return value  # pyright: ignore[reportUnknownVariableType]


def _extra(module: str) -> Any:
    return need(module, "agent", what="an agent", field="prompts")


_STARS = {2: "*", 4: "**"}
_POSITIONAL_ONLY, _VAR_POSITIONAL, _KEYWORD_ONLY = 0, 2, 3


def stubs(specs: Iterable[ToolSpec]) -> str:
    """Return the stubs of these tools, one after the other."""
    return "\n\n".join(map(stub, specs))


def stub(spec: ToolSpec) -> str:
    """Return one tool as the first lines of a function: signature and docstring, as ``help()`` shows them too."""
    kind = "async def" if spec.get("async") else "def"
    returns = f" -> {spec['returns']}" if spec["returns"] else ""
    head = f"{kind} {spec['name']}({', '.join(_parameters(spec['params']))}){returns}:"
    return "\n".join([head, textwrap.indent(_quoted(spec["doc"]) if spec["doc"] else "...", "    ")])


def _quoted(doc: str) -> str:
    text = doc.replace("\\", "\\\\").replace('"""', r"\"\"\"")
    return f'"""{text}\n"""' if "\n" in text else f'"""{text}"""'


def _parameters(params: list[list[Any]]) -> list[str]:
    shown: list[str] = []
    previous = -1
    for parameter in params:
        kind = parameter[1]
        if previous == _POSITIONAL_ONLY and kind != _POSITIONAL_ONLY:
            shown.append("/")
        if kind == _KEYWORD_ONLY and previous not in (_VAR_POSITIONAL, _KEYWORD_ONLY):
            shown.append("*")
        shown.append(_parameter(*parameter))
        previous = kind
    return [*shown, "/"] if previous == _POSITIONAL_ONLY else shown


def _parameter(name: str, kind: int, has_default: bool, default: Any, annotation: str) -> str:
    text = f"{_STARS.get(kind, '')}{name}{f': {annotation}' if annotation else ''}"
    if not has_default:
        return text
    return f"{text} = {default!r}" if annotation else f"{text}={default!r}"
