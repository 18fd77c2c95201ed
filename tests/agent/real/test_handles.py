"""Images and objects of the host in programs: handles that tools get the objects for, and images that a model sees."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("PIL", reason="pillow is not installed")

from PIL import Image as Picture

from cloche import CodeAgent, ToolCallingAgent, tool
from cloche.agent import ImagePart, ScriptedModel, ToolRequest
from cloche.host_tools import ToolLike
from cloche.host_tools.call_log import MemoryLog
from cloche.host_tools.policy import GuardedTools, Policy


class Frame:
    """Something that cannot cross."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = rows


@tool
def load() -> Any:
    """Load a table."""
    return Frame([1, 2, 3])


@tool
async def several() -> Any:
    """Load two."""
    await asyncio.sleep(0)
    return {"frames": [Frame([4]), Frame([5])], "count": 2}


@tool
def total(frame: Any) -> int:
    """Add the rows of a table up."""
    assert isinstance(frame, Frame)
    return sum(frame.rows)


@tool
def draw(side: int) -> Any:
    """Draw a square."""
    return Picture.new("RGB", (side, side), "red")


@tool
def measure(image: Any) -> list[int]:
    """Say how large an image is."""
    return list(image.size)


TOOLS: list[ToolLike] = [load, several, total, draw, measure]


def ran(*programs: str, **options: Any) -> tuple[Any, list[Any], ScriptedModel]:
    model = ScriptedModel([f"<code>\n{program}\n</code>" for program in programs])
    tools = options.pop("tools", TOOLS)
    with CodeAgent(tools, model, **options.pop("settings", {})) as agent:
        return agent.run("t", **options), agent.memory.actions, model


def test_an_object_goes_from_tool_to_tool() -> None:
    program = "f = load()\nboth = await several()\nprint(f, both['count'])"
    answer, steps, _ = ran(program, "final_answer([total(f), total(frame=both['frames'][1])])")
    assert answer == [6, 5]
    assert "<Frame obj-" in steps[0].observation
    assert "rows" not in steps[0].observation


def test_it_cannot_be_looked_into_nor_invented() -> None:
    inside = "try:\n    load().rows\nexcept AttributeError as error:\n    print(error)"
    invented = "f = load()\nf.handle = 'obj-00000000'\ntotal(f)"
    answer, steps, _ = ran(inside, invented, "final_answer(total({'handle': f.handle}))", "final_answer(1)")
    assert "no 'rows' here: pass it to a function" in steps[0].observation
    assert "is not there any more" in steps[1].observation
    assert steps[2].error is not None
    assert answer == 1


def test_an_object_may_be_the_answer() -> None:
    answer, _, _ = ran("final_answer(load())")
    assert isinstance(answer, Frame)


def test_an_image_crosses_as_bytes_and_goes_on_as_it_was() -> None:
    program = "i = draw(5)\ni.save('/tmp/i.png')\nprint([i.size, i.data[:4], len(i.data) == len(bytes(i))], measure(i))"
    answer, steps, _ = ran(program, "final_answer(i)")
    assert "[(5, 5), b'\\x89PNG', True] [5, 5]" in steps[0].observation
    assert steps[0].images == []
    assert (type(answer).__module__, answer.size) == ("PIL.Image", (5, 5))


@pytest.mark.parametrize("shows", ["print('see', draw(3))", "draw(3)", "[draw(3)]"])
def test_an_image_that_is_printed_or_last_is_shown_to_the_model(shows: str) -> None:
    _, steps, model = ran(shows, "final_answer(1)")
    (image,) = steps[0].images
    assert isinstance(image, ImagePart)
    assert image.data.startswith("iVBOR")
    assert image in model.requests[1].messages[-1].content


def test_a_few_images_are_shown_of_many() -> None:
    _, steps, _ = ran("print([draw(3) for _ in range(9)])", "final_answer(1)")
    assert len(steps[0].images) == 4


def test_images_are_arguments_of_a_run_and_of_managed_agents() -> None:
    def helper() -> CodeAgent:
        model = ScriptedModel(["<code>\nfinal_answer([measure(picture), total(table)])\n</code>"])
        return CodeAgent(TOOLS, model, name="helper", description="Helps.")

    program = "final_answer(helper('measure it', additional_args={'picture': photo, 'table': load()}))"
    args = {"photo": Picture.new("RGB", (7, 2))}
    answer, _, _ = ran(program, additional_args=args, settings={"managed_agents": [helper()]})
    assert answer == [[7, 2], 6]


def test_a_guard_judges_and_records_the_objects_themselves() -> None:
    log = MemoryLog()
    guarded = GuardedTools(TOOLS, {}, default=Policy(), log=log)
    answer, _, _ = ran("final_answer(total(load()))", tools=guarded)
    assert answer == 6


def test_the_next_run_has_objects_of_its_own() -> None:
    model = ScriptedModel(["<code>\nfinal_answer(load().handle)\n</code>"] * 2)
    with CodeAgent(TOOLS, model) as agent:
        first, second = agent.run("t"), agent.run("t")
        assert agent.tools.handles is not None
        assert isinstance(first, Frame)
        assert isinstance(second, Frame)
        assert first is not second


def call(name: str, **arguments: Any) -> ToolRequest:
    return ToolRequest(id=name, name=name, arguments=arguments)


def test_an_agent_that_calls_by_schema_passes_handles_by_name() -> None:
    made: list[str] = []

    def line(request: Any) -> Any:
        last = request.messages[-1].text if len(request.messages) < 4 else ""
        if not made:
            made.append("")
            return [call("draw", side=6), call("load")]
        if made == [""]:
            texts = [part for message in request.messages if message.role == "tool" for part in [message.text]]
            made[:] = [text.split("'")[1] for text in texts]
            assert last is not None
            return [call("measure", image=made[0]), call("total", frame=made[1])]
        return call("final_answer", answer=made[0])

    agent = ToolCallingAgent(TOOLS, ScriptedModel(line))
    answer = agent.run("t")
    assert [outcome.observation for outcome in agent.memory.actions[1].outcomes] == ["[6, 6]", "6"]
    assert answer.size == (6, 6)
    assert len(agent.memory.actions[0].images) == 1
