"""Scripted, recorded, replayed and several models."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloche.agent import (
    AsyncModel,
    Delta,
    FallbackModel,
    Model,
    ModelRequest,
    RecordingModel,
    ReplayModel,
    Reply,
    ScriptedModel,
    ToolCallingAgent,
)
from cloche.agent.errors import ModelRefused, ModelUnavailable
from cloche.agent.messages import Message, ToolRequest
from cloche.agent.models.base import Piece
from cloche.runtime.errors import ConfigurationError

REQUEST = ModelRequest((Message.of("user", "hello there"),), stop=("END",))


class OnlyBlocking:
    """A model with the protocol's two methods and nothing else."""

    def generate(self, request: ModelRequest, /) -> Reply:
        return Reply(message=Message.of("assistant", "blocked"))

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        yield Delta("blocked")
        yield self.generate(request)


class Breaking(OnlyBlocking):
    """Breaks in the middle of a stream."""

    def generate(self, request: ModelRequest, /) -> Reply:
        raise ModelUnavailable("gone")

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        yield Delta("half")
        raise ModelUnavailable("gone")


async def pieces(model: AsyncModel) -> list[Piece]:
    return [piece async for piece in model.astream(REQUEST)]


def text(piece: Piece) -> str:
    return piece.message.text if isinstance(piece, Reply) else "<restart>" if piece.restart else piece.text


def test_a_script_is_said_line_by_line_up_to_the_stop_text() -> None:
    model = ScriptedModel(["one END two", ToolRequest(id="1", name="f")])
    assert model.generate(REQUEST).message.text == "one "
    assert model.generate(REQUEST).message.tool_calls[0].name == "f"
    with pytest.raises(ModelRefused, match="number 3"):
        model.generate(REQUEST)
    assert len(model.requests) == 3


def test_a_function_can_be_the_script() -> None:
    model = ScriptedModel(lambda request: request.messages[-1].text.upper())
    assert model.generate(REQUEST).message.text == "HELLO THERE"


def test_errors_in_a_script_are_raised() -> None:
    with pytest.raises(ModelUnavailable, match="down"):
        ScriptedModel([ModelUnavailable("down")]).generate(REQUEST)


class Heavy(ScriptedModel):
    """Loads something when it is warmed up, and is ready once it has been asked."""

    loading = ""

    def warm_up(self) -> None:
        self.loading = "weights"


def test_a_model_begins_to_load_when_the_run_begins_and_the_agent_says_so() -> None:
    events: list[Any] = []
    call = ToolRequest(id="1", name="final_answer", arguments={"answer": 1})
    agent = ToolCallingAgent([], FallbackModel([Heavy([call]), ScriptedModel([])]), observers=[events.append])
    assert agent.run("t") == 1
    names = [type(event).__name__ for event in events]
    assert names[:3] == ["RunStarted", "ModelLoading", "StepStarted"]
    assert events[1].what == "weights"


def test_a_recorded_run_is_replayed_word_for_word(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    request = ToolRequest(id="1", name="f", arguments={"x": [1, None]})
    recording = RecordingModel(ScriptedModel(["a\nb", request, "c", "d"]), path)
    said = [recording.generate(REQUEST), list(recording.stream(REQUEST))[-1]]
    said += [asyncio.run(recording.agenerate(REQUEST)), asyncio.run(pieces(recording))[-1]]
    replay = ReplayModel(path)
    assert [replay.generate(REQUEST) for _ in range(4)] == said


def test_a_model_without_async_methods_is_recorded_too(tmp_path: Path) -> None:
    recording = RecordingModel(OnlyBlocking(), tmp_path / "run.jsonl")
    assert asyncio.run(recording.agenerate(REQUEST)).message.text == "blocked"
    assert [text(piece) for piece in asyncio.run(pieces(recording))] == ["blocked", "blocked"]


def test_a_damaged_recording_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text('{"message": {"role": "assistant"}}\nnonsense\n')
    with pytest.raises(ConfigurationError, match=r"line 2 of run\.jsonl"):
        ReplayModel(path)


def test_the_first_model_that_answers_is_used() -> None:
    model = FallbackModel([Breaking(), OnlyBlocking()])
    assert model.generate(REQUEST).message.text == "blocked"
    assert asyncio.run(model.agenerate(REQUEST)).message.text == "blocked"


def test_a_broken_stream_is_taken_back_and_begun_anew() -> None:
    expected = ["half", "<restart>", "blocked", "blocked"]
    model = FallbackModel([Breaking(), OnlyBlocking()])
    assert [text(piece) for piece in model.stream(REQUEST)] == expected
    assert [text(piece) for piece in asyncio.run(pieces(model))] == expected


@pytest.mark.parametrize("models", [[Breaking()], [Breaking(), Breaking()]])
def test_if_no_model_answers_the_last_error_is_raised(models: list[Model]) -> None:
    model = FallbackModel(models)
    with pytest.raises(ModelUnavailable):
        model.generate(REQUEST)
    with pytest.raises(ModelUnavailable):
        list(model.stream(REQUEST))
    with pytest.raises(ModelUnavailable):
        asyncio.run(pieces(model))


def test_no_models_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="models"):
        FallbackModel([])


def test_leaving_a_stream_early_ends_its_thread() -> None:
    closed: list[bool] = []

    class Endless(OnlyBlocking):
        def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
            try:
                while True:
                    yield Delta("x")
            finally:
                closed.append(True)

    async def first(stream: AsyncIterator[Piece]) -> Piece:
        piece = await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        for _ in range(500):
            if closed:
                break
            await asyncio.sleep(0.01)
        return piece

    assert asyncio.run(first(FallbackModel([Endless()]).astream(REQUEST))) == Delta("x")
    assert closed == [True]
