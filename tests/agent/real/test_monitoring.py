"""Run records, traces, the terminal and spans."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import cloche
from cloche.agent import (
    ActionStep,
    CodeAgent,
    ModelUnavailable,
    RunRecorder,
    ScriptedModel,
    TerminalLog,
    ToolCallingAgent,
    ToolRequest,
    Tracing,
)
from cloche.agent.models.scripted import Line
from cloche.agent.monitoring.trace_page import as_html
from cloche.agent.monitoring.traces import RecordError, as_text, read_record
from cloche.cli.main import main
from cloche.host_tools import tool

EVIL = "<script>alert(1)</script>\x1b[31m\u202e"


@tool
def shout(text: str) -> str:
    """Shout."""
    return text.upper()


def code(program: str) -> str:
    return f"I try {EVIL}.\n<code>\n{program}\n</code>"


def team(**options: Any) -> CodeAgent:
    low = CodeAgent([shout], ScriptedModel([code("final_answer(shout('hi'))")]), name="low", description="d")
    lines = ["the plan", code("x = await low('say hi')\nprint(x)"), code("1 / 0"), code("final_answer(x)")]
    return CodeAgent(
        [], ScriptedModel(lines, cost=0.25), managed_agents=[low], name="top", planning_interval=9, **options
    )


def record(path: Path) -> list[dict[str, Any]]:
    with team(observers=[RunRecorder(path)]) as agent:
        assert agent.run(f"task {EVIL}") == "HI"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_record_has_a_line_for_each_event(tmp_path: Path) -> None:
    lines = record(tmp_path / "run.jsonl")
    events = [line["event"] for line in lines if line["event"] != "content"]
    assert events[:4] == ["run_started", "model_started", "model_finished", "plan_made"]
    assert events.count("run_started") == events.count("run_ended") == 2
    tools = [line for line in lines if line["event"] == "tool_call_ended"]
    assert [(line["agent"], line["tool"], line["outcome"]) for line in tools] == [
        ("low", "shout", "returned"),
        ("top", "low", "returned"),
    ]
    code_lines = [line for line in lines if line["event"] == "code_finished" and line["agent"] == "top"]
    assert [line["error"] is None for line in code_lines] == [True, False, True]
    assert all(line["fuel"] > 0 and line["memory"] > 0 for line in code_lines)
    assert lines[-1]["usage"]["cost"] == 1.0


def test_a_trace_tells_the_whole_run_and_nothing_in_it_is_markup(tmp_path: Path) -> None:
    record(tmp_path / "run.jsonl")
    (top,) = read_record(tmp_path / "run.jsonl")
    assert [run.agent for _, run in top.walk()] == ["top", "low"]
    text, page = as_text([top]), as_html([top])
    for told in ("the plan", "ZeroDivisionError", "shout", "final_answer"):
        assert told in text
        assert told in page
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert page.count('class="row"') == 2


def test_a_record_that_breaks_off_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    record(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(lines[:6]), encoding="utf-8")
    assert "the record ends here" in as_text(read_record(path))
    assert "the record ends here" in as_html(read_record(path))


@pytest.mark.parametrize("text", ["nonsense", "[1]", '{"no": "event"}', "[" * 100_000])
def test_what_is_no_record_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text(f'{{"event": "other"}}\n{text}\n', encoding="utf-8")
    with pytest.raises(RecordError, match=r"wrong\.jsonl, line 2"):
        read_record(path)


def test_the_command_prints_text_or_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "run.jsonl")
    assert main(["trace", str(tmp_path / "run.jsonl")]) == 0
    assert "== top (ScriptedModel) ==" in capsys.readouterr().out
    assert main(["trace", str(tmp_path / "run.jsonl"), "--html", str(tmp_path / "run.html")]) == 0
    assert (tmp_path / "run.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["trace", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl: no such file" in capsys.readouterr().err


def logged(level: int, agent: CodeAgent) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=200, markup=False, emoji=False, highlight=False)
    agent.settings.observers = [TerminalLog(level, console)]
    with agent:
        agent.run("t [bold]loud[/bold]", return_full_result=True)
    return stream.getvalue()


def test_the_terminal_shows_steps_and_no_markup_or_control_characters() -> None:
    text = logged(1, team())
    for told in (
        "task: t [bold]loud[/bold]",
        "top: plan:",
        "x = await low('say hi')",
        "ZeroDivisionError",
        "answer: HI",
    ):
        assert told in text
    assert "\x1b[31m" not in text
    assert "I try" not in text
    detailed = logged(2, team())
    assert "I try" in detailed
    assert "tool low returned" in detailed
    assert "\\x1b[31m" in detailed
    failed = logged(1, CodeAgent([], ScriptedModel([ModelUnavailable("down")])))
    assert "ended (model_error): down" in failed


def spans_of(agent: Any, **options: Any) -> dict[str, Any]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    agent.settings.observers = [Tracing(provider, **options)]
    agent.run("t", return_full_result=True)
    return {f"{span.name} {index}": span for index, span in enumerate(exporter.get_finished_spans())}


def test_spans_hang_together_and_carry_the_conventional_names() -> None:
    with team() as agent:
        spans = list(spans_of(agent).values())
    by_id = {span.context.span_id: span for span in spans}
    above = {span.name: by_id[span.parent.span_id].name if span.parent else "" for span in spans}
    assert above["invoke_agent top"] == ""
    assert above["invoke_agent low"] == "execute_tool low"
    assert above["execute_tool low"] == "run python"
    assert above["execute_tool shout"] == "run python"
    assert above["run python"].startswith("step")
    top = next(span for span in spans if span.name == "invoke_agent top")
    assert top.attributes["gen_ai.agent.name"] == "top"
    assert top.attributes["openinference.span.kind"] == "AGENT"
    assert top.attributes["cloche.cost_usd"] == 1.0
    chat = next(span for span in spans if span.name == "chat ScriptedModel")
    assert (chat.attributes["gen_ai.agent.name"], chat.attributes["gen_ai.request.model"]) == ("top", "ScriptedModel")
    assert chat.attributes["llm.input_messages.0.message.role"] == "system"
    assert "You solve tasks" in chat.attributes["llm.input_messages.0.message.content"]
    asked = json.loads(chat.attributes["gen_ai.input.messages"])
    assert [message["role"] for message in asked] == ["system", "user", "user"]
    assert chat.instrumentation_scope.version == cloche.__version__
    assert chat.attributes["gen_ai.usage.input_tokens"] > 0
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    run = next(span for span in spans if span.name == "run python")
    assert run.attributes["cloche.fuel"] > 0
    assert any(span.status.status_code.name == "ERROR" and span.name == "run python" for span in spans)


def test_content_can_be_left_out_and_no_span_stays_open() -> None:
    lines: list[Line] = [ToolRequest(id="1", name="shout", arguments={"text": "secret"}), ModelUnavailable("down")]
    spans = spans_of(ToolCallingAgent([shout], ScriptedModel(lines)), content=False)
    assert "secret" not in str([dict(span.attributes) for span in spans.values()]).lower()
    names = sorted(name.rsplit(" ", 1)[0] for name in spans)
    model = "chat ScriptedModel"
    assert names == [model, model, "execute_tool shout", "invoke_agent", "step 1", "step 2"]


def test_secrets_are_masked_in_records_and_in_spans(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    secrets: list[Any] = ["hunter2", re.compile(r"sk-\w+")]
    lines: list[Line] = [
        ToolRequest(id="1", name="shout", arguments={"text": "hunter2 sk-abc"}),
        ModelUnavailable("hunter2 failed"),
    ]
    agent = ToolCallingAgent([shout], ScriptedModel(lines), instructions="The key is sk-abc.")
    agent.settings.observers = [RunRecorder(path, mask=secrets)]
    agent.run("The password is hunter2.", return_full_result=True)
    written = path.read_text(encoding="utf-8")
    assert "hunter2" not in written
    assert "sk-abc" not in written
    assert "The password is ***." in written
    spans = spans_of(ToolCallingAgent([shout], ScriptedModel(lines)), mask=secrets)
    shown = str([(dict(span.attributes), span.status.description) for span in spans.values()])
    assert "hunter2" not in shown
    assert "sk-abc" not in shown
    with pytest.raises(TypeError, match="a list of secrets"):
        RunRecorder(path, mask="hunter2")


def test_what_was_asked_is_in_the_record_once(tmp_path: Path) -> None:
    lines = record(tmp_path / "run.jsonl")
    contents = [line for line in lines if line["event"] == "content"]
    assert len({line["hash"] for line in contents}) == len(contents)
    systems = [line["text"] for line in contents if line.get("role") == "system"]
    assert len(systems) == 2
    assert all("You solve tasks" in text for text in systems)
    started = [line for line in lines if line["event"] == "run_started"]
    assert all(line["cloche"] == cloche.__version__ and line["model"] == "ScriptedModel" for line in started)
    (top,) = read_record(tmp_path / "run.jsonl")
    asked = [entry.prompt for entry in top.entries if entry.kind == "model"]
    # The plan's question is asked once; then each step adds what was said, and what came of it.
    assert [[content["role"] for content in prompt] for prompt in asked[:3]] == [
        ["system", "user", "user"],
        ["system", "user", "assistant", "user"],
        ["system", "user", "assistant", "user", "assistant", "user"],
    ]


def test_tool_schemas_are_in_the_record_and_prompts_may_be_left_out(tmp_path: Path) -> None:
    def contents(path: Path, **options: Any) -> list[dict[str, Any]]:
        call = ToolRequest(id="1", name="final_answer", arguments={"answer": 1})
        agent = ToolCallingAgent([shout], ScriptedModel([call]), observers=[RunRecorder(path, **options)])
        assert agent.run("t") == 1
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["event"] == "content"]

    (tools,) = [line["tools"] for line in contents(tmp_path / "one.jsonl") if "tools" in line]
    assert [tool["name"] for tool in tools] == ["shout", "final_answer"]
    assert contents(tmp_path / "two.jsonl", prompts=False) == []


def test_the_page_has_totals_links_folds_and_each_thing_once(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    record(path)
    one = as_html(read_record(path))
    assert "<nav" not in one
    assert "success, 3 steps" in one
    bars = re.findall(r'<a class="(?:model|code|tool)" href="#([\w-]+)"', one)
    assert bars
    assert all(one.count(f'id="{bar}"') == 1 for bar in bars)
    # The program stands in its box, and in the prompts that show it to the model again, which are folded.
    unfolded = re.sub(r'<details class="prompt">.*?</details>', "", one, flags=re.DOTALL)
    assert unfolded.count("print(x)") == 1
    assert (
        unfolded.index("<code>low('say hi')</code>") < unfolded.index("<h2>low") < unfolded.index("ZeroDivisionError")
    )
    assert "<code>shout('hi')</code>" in unfolded
    record(path)
    two = as_html(read_record(path))
    assert two.count('<li><a href="#run') == 2


def test_an_error_without_a_program_and_long_texts_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = ["no program", code("for i in range(200): print('row', i)"), code("final_answer(1)")]
    with CodeAgent([], ScriptedModel(lines), observers=[RunRecorder(path)]) as agent:
        agent.run("t")
    runs = read_record(path)
    page = as_html(runs)
    assert "there is no code in the reply" in page
    assert '<details class="long"><summary><pre>Printed:\nrow 0' in page
    assert "row 199" in page
    assert "row 199" in as_text(runs)
    assert "there is no code in the reply" in as_text(runs)


def test_runs_of_one_agent_stand_below_their_own_calls(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    low = CodeAgent([], ScriptedModel([code("final_answer(1)")] * 2), name="low", description="d")
    both = code("import asyncio\nawait asyncio.gather(low('first'), low(task='second'))")
    model = ScriptedModel([both, code("final_answer(2)")])
    with CodeAgent([], model, managed_agents=[low], observers=[RunRecorder(path)]) as agent:
        agent.run("t")
    (top,) = read_record(path)
    calls = [entry for entry in top.entries if entry.kind == "tool"]
    assert sorted(run.request for call in calls for run in call.runs) == ["first", "second"]
    assert all(run.request in str(call.fields["arguments"]) for call in calls for run in call.runs)
    assert top.strays == []


PICTURE = """
class Chart:
    def _repr_png_(self): return b"\\x89PNG\\r\\n\\x1a\\n" + bytes(3)
    def __repr__(self): return "<Chart & co>"
"""


def test_figures_are_shown_to_models_that_see_and_in_traces(tmp_path: Path) -> None:
    show = "from cloche_guest.displays import show\nshow(Chart())"
    for sees in (True, False):
        model: Any = ScriptedModel([code(f"{PICTURE}\n{show}"), code("final_answer(1)")])
        model.sees_images = sees
        with CodeAgent([], model, observers=[RunRecorder(tmp_path / "run.jsonl")]) as agent:
            agent.run("draw")
            step = agent.memory.steps[1]
        assert isinstance(step, ActionStep)
        assert "Shown:\n<Chart & co>" in step.observation
        assert [image.media_type for image in step.images] == (["image/png"] if sees else [])
    runs = read_record(tmp_path / "run.jsonl")
    assert "shown: <Chart & co> (image, 11 bytes)" in as_text(runs)
    assert '<img alt="&lt;Chart &amp; co&gt;" src="data:image/png;base64,iVBORw0KGgoAAAA="' in as_html(runs)


def test_a_record_cannot_put_anything_but_an_image_into_the_page(tmp_path: Path) -> None:
    record(tmp_path / "run.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if line["event"] == "code_finished":
            line["displays"] = [{"text": EVIL, "png": '"><script>'}, 5, {"png": "x" * 5}]
    (tmp_path / "run.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert "<script" not in as_html(read_record(tmp_path / "run.jsonl"))
