import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from cloche.bench.results import NoResults, Results, load, save

MakeResults = Callable[..., Results]


@pytest.fixture
def results(make_results: MakeResults) -> Results:
    return make_results({("fresh.ready", "cloche"): [[1e-3, 2e-3]]}, {("tool.data", "cloche"): ("TypeError", "no")})


def test_results_survive_the_file(results: Results, tmp_path: Path) -> None:
    save(results, tmp_path / "a.json")
    assert load(tmp_path / "a.json") == results


def test_lookups(results: Results) -> None:
    assert results.rounds("fresh.ready", "cloche") == [[1e-3, 2e-3]]
    assert results.rounds("fresh.ready", "exec") is None
    failure = results.failure("tool.data", "cloche")
    assert failure is not None
    assert failure.type == "TypeError"
    assert results.failure("tool.data", "exec") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"format": 1}'])
def test_a_file_without_results_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "strange.json"
    path.write_text(text)
    with pytest.raises(NoResults, match=r"strange\.json holds no results"):
        load(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [("format", 2), ("seconds", "soon"), ("surprise", 1), ("measurements", [{"metric": "a"}])],
)
def test_the_schema_is_closed(results: Results, place: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Results.model_validate({**results.model_dump(), place: value})


@pytest.mark.parametrize("rounds", [[], [[]], [[float("nan")]], [[float("inf")]]])
def test_a_measurement_has_samples_and_they_are_numbers(results: Results, rounds: object) -> None:
    data = results.model_dump()
    data["measurements"][0]["rounds"] = rounds
    with pytest.raises(ValidationError):
        Results.model_validate(data)


def test_the_schema_names_every_field(results: Results) -> None:
    schema = Results.model_json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == set(json.loads(results.model_dump_json()))
