"""Scripted, recorded, replayed and several models."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloche.agent import (
    AsyncModel,
    CachingModel,
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


def test_a_recording_of_another_task_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    def asked(task: str) -> ModelRequest:
        return ModelRequest((Message.of("system", "s"), Message.of("user", f"New task:\n{task}")))

    RecordingModel(ScriptedModel(["a"]), path).generate(asked("What is 2 + 2?"))
    assert "2 + 2" not in path.read_text(encoding="utf-8")
    assert ReplayModel(path).generate(asked("What is 2 + 2?")).message.text == "a"
    with pytest.raises(ModelRefused, match=r"run\.jsonl was recorded for another task than this one: .*3 \+ 3"):
        ReplayModel(path).generate(asked("What is 3 + 3?"))
    # Prompts may change: what counts is the task.
    other = ModelRequest((Message.of("system", "other"), *asked("What is 2 + 2?").messages[1:]))
    assert ReplayModel(path).generate(other).message.text == "a"


def test_a_recording_without_tasks_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(f"{Reply(message=Message.of('assistant', 'old')).model_dump_json()}\n", encoding="utf-8")
    assert ReplayModel(path).generate(REQUEST).message.text == "old"


ALL_WAYS = pytest.mark.parametrize(
    "ask",
    [
        lambda model, request: model.generate(request),
        lambda model, request: list(model.stream(request))[-1],
        lambda model, request: asyncio.run(model.agenerate(request)),
        lambda model, request: asyncio.run(_last_of(model, request)),
    ],
    ids=["generate", "stream", "agenerate", "astream"],
)


async def _last_of(model: Any, request: ModelRequest) -> Any:
    return [piece async for piece in model.astream(request)][-1]


@ALL_WAYS
def test_the_same_request_is_answered_from_the_store(ask: Any, tmp_path: Path) -> None:
    store = tmp_path / "replies.sqlite"
    inner = ScriptedModel(["one", "two", "three"], cost=0.5)
    with CachingModel(inner, store) as model:
        first, again = ask(model, REQUEST), ask(model, REQUEST)
        assert (first.message, again.message) == (first.message, first.message)
        assert (first.usage.cost, again.usage.cost) == (0.5, 0.0)
        assert again.usage.total == first.usage.total
        assert ask(model, ModelRequest(REQUEST.messages, stop=("other",))).message.text == "two"
        assert (model.hits, model.misses, len(inner.requests)) == (1, 2, 2)
    # In another process, or another day.
    with CachingModel(ScriptedModel([]), store) as later:
        assert ask(later, REQUEST).message == first.message
    with CachingModel(OnlyBlocking(), store) as other:
        assert ask(other, REQUEST).message.text == "blocked"


def test_ids_of_calls_make_no_other_request_and_errors_are_not_kept() -> None:
    def asked(id: str) -> ModelRequest:
        call = ToolRequest(id=id, name="f", arguments={"x": 1})
        said = Message(role="assistant", tool_calls=(call,))
        return ModelRequest((said, Message(role="tool", content=(), tool_call_id=id)))

    cut = Reply(message=Message.of("assistant", "cut"), cut_off=True)
    with CachingModel(ScriptedModel([ModelUnavailable("down"), cut, "up"]), ":memory:") as model:
        with pytest.raises(ModelUnavailable):
            model.generate(asked("a"))
        assert [model.generate(asked(id)).message.text for id in "abc"] == ["cut", "up", "up"]


def test_an_agents_second_run_is_answered_from_the_store() -> None:
    lines = ['{"name": "f", "arguments": {"x": 1}}', '{"name": "final_answer", "arguments": {"answer": 1}}']
    with CachingModel(ScriptedModel(lines), ":memory:") as model:
        for _ in range(2):
            assert ToolCallingAgent({"f": lambda x: x}, model).run("t") == 1
        assert (model.hits, model.misses) == (2, 2)


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
