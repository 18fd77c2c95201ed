from typing import Annotated, Any

import pytest
from pydantic import Field

from cloche.host_tools.convert import exact_types, is_exact


@pytest.mark.parametrize("annotation", [Any, object])
def test_anything_is_exact_where_anything_is_accepted(annotation: Any) -> None:
    assert int in exact_types(annotation)
    assert type(pytest) in exact_types(annotation)


def test_a_bool_is_no_exact_int() -> None:
    assert int in exact_types(int)
    assert bool not in exact_types(int)


def test_a_union_is_exact_in_its_simple_members_only() -> None:
    found = exact_types(int | list[int] | None)
    assert [kind in found for kind in (int, type(None), list, str)] == [True, True, False, False]


@pytest.mark.parametrize("annotation", [Annotated[int, Field(gt=0)], list[int], dict[str, Any], type("Own", (), {})])
def test_what_needs_a_closer_look_is_never_exact(annotation: Any) -> None:
    assert not is_exact(annotation)
    assert int not in exact_types(annotation)
