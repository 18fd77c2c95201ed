"""Our dataclasses do what Python's do, and cost no import."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from typing import Any, Generic, TypeVar

import pytest

from cloche.runtime.dataclass import dataclass, field
from cloche.runtime.limits import Limits, SessionBudget
from cloche.runtime.result import Output, Result, ToolCallRecord, Usage

T = TypeVar("T")


def both(**options: Any) -> tuple[Any, Any]:
    """Return the same class twice: Python's dataclass, and ours."""

    def made(decorate: Any, describe: Any) -> Any:
        class Thing:
            """A thing."""

            plain = 5
            first: int
            second: str = "two"
            third: list[int] = describe(default_factory=list)
            fourth: int = describe(default=4, repr=False)

            def doubled(self) -> int:
                """Return twice the first."""
                return self.first * 2

        return decorate(**options)(Thing)

    return made(dataclasses.dataclass, dataclasses.field), made(dataclass, field)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "slots": {"slots": True},
    "frozen": {"frozen": True},
    "frozen slots": {"frozen": True, "slots": True},
    "no eq": {"eq": False},
    "no repr": {"repr": False},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_class_is_as_python_would_make_it(name: str) -> None:
    theirs, ours = both(**OPTIONS[name])
    for cls in (theirs, ours):
        one = cls(1, third=[3])
        assert (one.first, one.second, one.third, one.fourth, one.plain, one.doubled()) == (1, "two", [3], 4, 5, 2)
        assert cls(1).third is not cls(1).third
        with pytest.raises(TypeError, match="first"):
            cls()
        with pytest.raises(TypeError, match="fifth"):
            cls(1, fifth=5)
        assert (cls(1) == cls(1)) is (name != "no eq")
        assert cls(1) != cls(2)
        assert cls(1) != (1, "two", [], 4)
        assert dataclasses.is_dataclass(cls)
        assert [each.name for each in dataclasses.fields(cls)] == ["first", "second", "third", "fourth"]
        assert dataclasses.replace(one, second="2").second == "2"
        assert dataclasses.asdict(one) == {"first": 1, "second": "two", "third": [3], "fourth": 4}
        assert copy.copy(one).third is one.third
        assert hasattr(one, "__dict__") is (not OPTIONS[name].get("slots"))
    assert ours.__match_args__ == theirs.__match_args__
    assert (ours.__hash__ is None) is (theirs.__hash__ is None)
    assert (ours.__module__, ours.__qualname__, ours.__doc__) == (
        theirs.__module__,
        theirs.__qualname__,
        theirs.__doc__,
    )
    if name != "no repr":
        assert repr(ours(1, third=[3])) == repr(theirs(1, third=[3]))


def test_a_frozen_one_is_frozen_and_can_be_a_key() -> None:
    for cls in both(frozen=True):
        one = cls(1, third=())
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.first = 2
        with pytest.raises(dataclasses.FrozenInstanceError):
            del one.first
        assert {one: "here"}[cls(1, third=())] == "here"


def test_a_field_that_is_not_given_stays_the_class_s() -> None:
    record = ToolCallRecord("tool", [1], {})
    assert vars(record) == {"name": "tool", "args": [1], "kwargs": {}, "started": 0.0}
    assert record.outcome == "running"


def test_a_generic_one_and_a_method_of_its_own_stay() -> None:
    @dataclass(repr=False)
    class Box(Generic[T]):
        content: T

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert Box(1) == Box("other")
    assert "__orig_bases__" in vars(Box)


def test_what_is_made_can_be_checked_at_once() -> None:
    @dataclass(frozen=True, slots=True)
    class Positive:
        number: int

        def __post_init__(self) -> None:
            if self.number <= 0:
                raise ValueError(self.number)

    assert Positive(1).number == 1
    with pytest.raises(ValueError, match="0"):
        Positive(0)


def test_a_repr_that_meets_itself_ends() -> None:
    @dataclass
    class Node:
        next: Any = None

    node = Node()
    node.next = node
    assert repr(node).endswith("Node(next=...)")


@pytest.mark.parametrize(
    "value",
    [
        Limits(time=3),
        SessionBudget(runs=2),
        Output("stdout", "text"),
        Result(1, None, "", "", Usage(1, 1.0, 1, 1, 1), []),
    ],
)
def test_the_public_ones_can_be_copied_and_pickled(value: Any) -> None:
    for other in (
        copy.copy(value),
        copy.deepcopy(value),
        pickle.loads(pickle.dumps(value)),  # noqa: S301
        dataclasses.replace(value),
    ):
        assert type(other) is type(value)
        assert dataclasses.asdict(other) == dataclasses.asdict(value)


def test_they_need_no_import_that_takes_time() -> None:
    code = "import sys, cloche.runtime.limits; print({'dataclasses', 'inspect'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
