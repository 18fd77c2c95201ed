from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ForwardRef, List, Literal, NewType, Optional, TypeVar, Union  # noqa: UP035

import pytest
from pydantic import Field

from cloche.host_tools.display import annotation_text

T = TypeVar("T")


@dataclass
class City:
    name: str


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (None, "None"),
        (Any, "Any"),
        (City, "City"),
        (list[int], "list[int]"),
        (List[City], "list[City]"),  # noqa: UP006
        (str | None, "str | None"),
        (Optional[City], "City | None"),  # noqa: UP045
        (Union[int, list[str]], "int | list[str]"),  # noqa: UP007
        (dict[str, list[int | None]], "dict[str, list[int | None]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (tuple[()], "tuple[()]"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Annotated[int, Field(gt=0)], "int"),
        (Callable[[int], str], "Callable[[int], str]"),
        (Callable[..., None], "Callable[..., None]"),
        (Sequence[City], "Sequence[City]"),
        (NewType("UserId", int), "UserId"),
        (T, "T"),
        (ForwardRef("Later"), "Later"),
        ("Later", "Later"),
    ],
)
def test_annotations_read_as_written(annotation: Any, text: str) -> None:
    assert annotation_text(annotation) == text
