"""What holds for every call: it agrees with Python's own binding, and the fast path with pydantic."""

import contextlib
import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from cloche.host_tools import ToolRegistry, ToolRejected
from cloche.host_tools.arguments import Arguments
from cloche.host_tools.call_log import MemoryLog
from cloche.host_tools.convert import exact_types
from cloche.host_tools.display import brief_with_type
from cloche.host_tools.policy import GuardedTools, PlannedCall, Policy
from cloche.host_tools.signature import Kind, Parameter

NAMES = ["a", "b", "c", "d"]
KINDS = {
    0: inspect.Parameter.POSITIONAL_ONLY,
    1: inspect.Parameter.POSITIONAL_OR_KEYWORD,
    3: inspect.Parameter.KEYWORD_ONLY,
}


@st.composite
def parameters(draw: st.DrawFn) -> list[inspect.Parameter]:
    """Any legal list of parameters over four names and the two collecting ones."""
    kinds = sorted(draw(st.lists(st.sampled_from([0, 1, 3]), max_size=4)))
    found: list[inspect.Parameter] = []
    optional = False
    for name, kind in zip(NAMES, kinds, strict=False):
        optional = draw(st.booleans()) or (optional and kind != 3)
        default = 0 if optional else inspect.Parameter.empty
        found.append(inspect.Parameter(name, KINDS[kind], default=default))
    for collecting in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        if draw(st.booleans()):
            found.append(inspect.Parameter(f"v{int(collecting)}", collecting))
    return sorted(found, key=lambda parameter: parameter.kind)


calls = st.tuples(
    st.lists(st.integers(), max_size=6), st.dictionaries(st.sampled_from([*NAMES, "v2", "v4", "other"]), st.integers())
)


def is_ambiguous(raw: list[inspect.Parameter], kwargs: dict[str, int]) -> bool:
    """Return whether a keyword that goes into ``**kwargs`` has the name of a parameter."""
    named = {p.name for p in raw if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return bool(kwargs.keys() & ({p.name for p in raw} - named))


@given(parameters(), st.lists(calls, min_size=1, max_size=4))
def test_a_call_is_accepted_exactly_when_python_would_accept_it_and_names_mean_one_thing(
    raw: list[inspect.Parameter], attempts: list[tuple[list[int], dict[str, int]]]
) -> None:
    arguments = Arguments([Parameter(p.name, Kind(p.kind), default=p.default) for p in raw], "f")
    # A real function, and not Signature.bind, which in 3.11 refuses f(a=0) for `def f(a=0, /, **others)`.
    python = eval(f"lambda {str(inspect.Signature(raw))[1:-1]}: None")
    for args, kwargs in attempts:
        try:
            python(*args, **kwargs)
        except TypeError:
            refused = True
        else:
            refused = is_ambiguous(raw, kwargs)
        if refused:
            with pytest.raises(ToolRejected):
                arguments.accept(args, kwargs, "f")
        else:
            assert arguments.accept(args, kwargs, "f") == (args, kwargs)


@given(parameters(), st.lists(calls, min_size=1, max_size=4))
def test_what_the_policy_judged_is_what_is_recorded_and_what_the_tool_gets(
    raw: list[inspect.Parameter], attempts: list[tuple[list[int], dict[str, int]]]
) -> None:
    received: list[dict[str, Any]] = []
    judged: list[dict[str, Any]] = []
    # Every parameter as the function itself sees it, what went into **v4 beside the others.
    places = {p.name: p.name for p in raw if p.kind is not p.VAR_KEYWORD}
    seen = ", ".join(f"'{name}': {f'list({name})' if name == 'v2' else name}" for name in places)
    rest = " | v4" if any(p.kind is p.VAR_KEYWORD for p in raw) else ""
    scope: dict[str, Any] = {"see": received.append}
    exec(f"def f{inspect.Signature(raw)}: see({{{seen}}}{rest})", scope)

    def judge(call: PlannedCall) -> bool:
        judged.append(dict(call.arguments))
        return True

    log = MemoryLog()
    tools = GuardedTools([scope["f"]], {"f": Policy(check=judge)}, log=log)
    for args, kwargs in attempts:
        with contextlib.suppress(ToolRejected):
            tools.call("f", list(args), dict(kwargs))
    made = [record.arguments for record in log.records if record.outcome == "returned"]
    assert judged == received == made


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)
SCALARS: list[Any] = [int, float, str, bool, bytes, complex, None]
ANNOTATIONS: list[Any] = [*SCALARS, list, dict, tuple, set, int | None, float | str, Any]
CLOSER: list[Any] = [list[int], dict[str, int], tuple[int, str]]


@given(st.sampled_from(ANNOTATIONS), values)
def test_exact_values_are_those_that_pydantic_returns_unchanged(annotation: Any, value: Any) -> None:
    if type(value) in exact_types(annotation):
        validated = TypeAdapter(annotation).validate_python(value)
        assert validated == value
        assert type(validated) is type(value)


@given(
    st.sampled_from([*ANNOTATIONS, *CLOSER]),
    st.lists(values, min_size=1, max_size=4),
)
def test_every_value_fares_as_with_pydantic_whatever_came_before(annotation: Any, sent: list[Any]) -> None:
    arguments = Arguments([Parameter("value", Kind.POSITIONAL_OR_KEYWORD, annotation)], "f")
    for value in sent * 2:
        try:
            expected = TypeAdapter(annotation).validate_python(value)
        except ValidationError:
            with pytest.raises(ToolRejected, match=r"^f\(\): argument ['\"]value"):
                arguments.accept([value], {}, "f")
        else:
            assert arguments.accept([value], {}, "f") == ([expected], {})


@given(values)
def test_any_value_is_described_in_one_short_line(value: Any) -> None:
    text = brief_with_type(value)
    assert len(text) < 700
    assert text.isprintable()


@given(st.text())
def test_any_text_is_a_tool_name_or_refused(name: str) -> None:
    registry = ToolRegistry()
    try:
        registry[name] = lambda: 1
    except ValueError:
        assert not registry
    else:
        assert eval(f"{name}()", {name: lambda: 1}) == 1
        assert registry.call(name, [], {}) == 1
