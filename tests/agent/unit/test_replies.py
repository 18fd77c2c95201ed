"""Reasoning, programs and tool calls in what models write."""

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.agent.errors import ReplyUnparsable
from cloche.agent.messages import Message, ToolRequest
from cloche.agent.models.base import trimmed
from cloche.agent.models.wire import StreamParts
from cloche.agent.replies import calls
from cloche.agent.replies.calls import arguments_of, find_tool_calls, literal_answer
from cloche.agent.replies.programs import find_code, read_reply
from cloche.agent.replies.reasoning import without_reasoning

from .replies import families
from .replies.calls import CALLS, SCHEMAS
from .replies.programs import PROGRAMS

TAGS = ("<code>", "</code>")
# Those of any model, then each family's own.
ALL_PROGRAMS = [*PROGRAMS, *(row for rows in families.PROGRAMS.values() for row in rows)]
ALL_CALLS = [*CALLS, *(row for rows in families.CALLS.values() for row in rows)]


@pytest.mark.parametrize(("text", "code"), ALL_PROGRAMS)
def test_code_is_found_however_models_mark_it(text: str, code: str | None) -> None:
    if code is None:
        with pytest.raises(ReplyUnparsable, match="final_answer"):
            find_code(text, TAGS)
    else:
        assert find_code(text, TAGS) == code


@pytest.mark.parametrize("text", ["", "   \n", "The answer is 42.", "<code>\n\n</code>"])
def test_a_reply_without_code_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ReplyUnparsable, match="<code>\nprint"):
        find_code(text, TAGS)


def test_other_tags_are_used_where_they_are_set() -> None:
    assert find_code("[py]\nx = 1\n[/py]", ("[py]", "[/py]")) == "x = 1"


@given(st.text())
def test_any_text_gives_code_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(ReplyUnparsable):
        assert find_code(text, TAGS).strip()


@given(st.text(alphabet='{}[]":,namearguts 1\\'))
def test_any_text_gives_tool_calls_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(ReplyUnparsable):
        assert all(call.arguments is not None for call in find_tool_calls(text))


@pytest.mark.parametrize(("text", "calls"), ALL_CALLS)
def test_tool_calls_are_found_in_text(text: str, calls: list[tuple[str, dict[str, Any] | None]] | None) -> None:
    if calls is None:
        with pytest.raises(ReplyUnparsable, match="final_answer"):
            find_tool_calls(text, SCHEMAS)
        return
    found = find_tool_calls(text, SCHEMAS)
    assert [(call.name, call.arguments) for call in found] == calls
    assert len({call.id for call in found}) == len(found)
    assert all(call.raw for call in found if call.arguments is None)


def test_deep_json_is_an_unparsable_reply() -> None:
    with pytest.raises(ReplyUnparsable, match="final_answer"):
        find_tool_calls("[" * 50_000)


PIECES = ["`", "```", "</code>", "<code>", "\n", "~~~", "<think>", "</think>", "Observation:", "a", " ", "'"]
STRINGS = st.lists(st.sampled_from(PIECES)).map("".join)


@given(STRINGS, st.sampled_from([("<code>\n", "\n</code>"), ("```python\n", "\n```"), ("Thought.\n~~~py\n", "\n~~~")]))
def test_marks_in_a_string_never_cut_a_program(text: str, marks: tuple[str, str]) -> None:
    program = f"x = {text!r}\nprint(x)"
    assert find_code(f"{marks[0]}{program}{marks[1]}", TAGS) == program


@given(STRINGS.filter(lambda text: '"""' not in text and not text.endswith('"')))
def test_marks_in_a_text_of_several_lines_never_cut_a_program(text: str) -> None:
    program = f'x = """\n{text}\n"""\nprint(x)'
    assert find_code(f"I write it.\n<code>\n{program}\n</code>", TAGS) == program


@given(st.text(), st.sampled_from(["think", "thinking", "reasoning"]))
def test_what_is_reasoned_never_runs(draft: str, name: str) -> None:
    clean = draft.replace("<", "").replace("[", "").replace("\u25c1", "")
    said = f"<{name}>{clean}\n<code>\ndelete_all()\n</code>\n</{name}>\n<code>\nprint(1)\n</code>"
    assert find_code(said, TAGS) == "print(1)"


def test_reasoning_is_kept_apart_and_what_is_made_up_is_left_out() -> None:
    read = read_reply("<think>Hm.</think>I add.\n<code>\nx = 1\n</code>\nObservation: 2\n<code>\nbad()\n</code>", TAGS)
    assert (read.code, read.reasoning, read.kept) == ("x = 1", "Hm.", "I add.\n<code>\nx = 1\n</code>")


@pytest.mark.parametrize(
    ("text", "answer", "unfinished"),
    [
        ("<think>a</think>b", "b", False),
        ("a</think>b", "b", False),
        ("<think>a", "", True),
        ("I use `<think>` here", "I use `<think>` here", False),
        ("x <think> y", "x <think> y", False),
        ("<THINK>a</THINK>b<think>c</think>d", "bd", False),
        ("[THINK]a[/THINK]b", "b", False),
        ("\u25c1think\u25b7a\u25c1/think\u25b7b", "b", False),
    ],
)
def test_reasoning_is_taken_out(text: str, answer: str, unfinished: bool) -> None:
    found = without_reasoning(text)
    assert (found.answer, found.unfinished) == (answer, unfinished)


def test_a_stop_text_in_the_reasoning_ends_nothing() -> None:
    assert trimmed("<think>a\nEND</think>b\nEND c", ("\nEND",)) == "<think>a\nEND</think>b"


def test_a_hostile_reply_takes_no_long_time() -> None:
    for text in ("<code>\n(\n</code>\n" * 2_000, "```\n(" * 5_000, "<think>" * 20_000, "</code>" * 20_000):
        with contextlib.suppress(ReplyUnparsable):
            find_code(text, TAGS)


@pytest.mark.parametrize("raw", ['{"a": 1}', '"{\\"a\\": 1}"', {"a": 1}, "{'a': 1}", '{"a": 1,}', ' {"a":\n1} '])
def test_arguments_are_read_however_they_are_encoded(raw: Any) -> None:
    assert arguments_of(raw) == {"a": 1}


@pytest.mark.parametrize("raw", ["[1]", '{"a": ', "Oslo", 3, '"text"', "nan"])
def test_what_is_no_object_is_no_arguments(raw: Any) -> None:
    assert arguments_of(raw) is None


def piece(index: int | None, id: str | None, name: str | None, arguments: str | None) -> Any:
    call = SimpleNamespace(index=index, id=id, function=SimpleNamespace(name=name, arguments=arguments))
    delta = SimpleNamespace(content=None, tool_calls=[call])
    return SimpleNamespace(choices=[SimpleNamespace(delta=delta, finish_reason=None)])


OSLO, LIMA = ("w", {"city": "Oslo"}), ("w", {"city": "Lima"})


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        ([(0, "a", "w", '{"city": '), (0, None, None, '"Oslo"}')], [OSLO]),
        ([(0, "a", "w", '{"city": '), (0, "a", "w", '"Oslo"}')], [OSLO]),
        ([(0, "a", "w", '{"city": '), (0, "b", "", '"Oslo"}')], [OSLO]),
        ([(0, "a", "w", '{"city": "Oslo"}'), (0, "b", "w", '{"city": "Lima"}')], [OSLO, LIMA]),
        ([(0, "", "w", '{"city": "Oslo"}'), (0, "", "w", '{"city": "Lima"}')], [OSLO, LIMA]),
        ([(None, "", "w", '{"city": "Oslo"}'), (None, "", "w", '{"city": "Lima"}')], [OSLO, LIMA]),
        (
            [(0, "a", "w", ""), (1, "a", "w", ""), (0, "", "", '{"city": "Oslo"}'), (1, "", "", '{"city": "Lima"}')],
            [OSLO, LIMA],
        ),
        ([(0, "a", "fe", ""), (0, "", "tch", "{}")], [("fetch", {})]),
        ([(0, "a", "fe", ""), (0, "", "fetch", "{}")], [("fetch", {})]),
        ([(0, "a", "w", None)], [("w", {})]),
    ],
)
def test_streamed_calls_are_put_together(pieces: list[Any], calls: list[Any]) -> None:
    parts = StreamParts("m")
    for one in pieces:
        parts.add(piece(*one))
    parts.add(SimpleNamespace(choices=[SimpleNamespace(delta=SimpleNamespace(), finish_reason="tool_calls")]))
    found = parts.reply().message.tool_calls
    assert [(call.name, call.arguments) for call in found] == calls
    assert all(call.id for call in found)
    assert len({call.id for call in found}) == len(calls)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Paris", "Paris"),
        ("<think>Hm.</think>Paris", "Paris"),
        ('I answer.\n<code>\nfinal_answer("Paris")\n</code>', "Paris"),
        ("```python\nx = 1\nfinal_answer(answer={'a': [1, 2]})\n```", {"a": [1, 2]}),
        ('final_answer("Paris")', "Paris"),
        ('{"name": "final_answer", "arguments": {"answer": "Paris"}}', "Paris"),
        ("<code>\nfinal_answer(-3.5)\n</code>", -3.5),
        ("<code>\nfinal_answer(town)\n</code>", "<code>\nfinal_answer(town)\n</code>"),
        ("Call final_answer when you know.", "Call final_answer when you know."),
    ],
)
def test_a_literal_answer_is_unwrapped_where_text_was_asked_for(text: str, answer: Any) -> None:
    assert literal_answer(Message.of("assistant", text), TAGS) == answer


def test_a_native_call_of_final_answer_is_unwrapped_too() -> None:
    call = ToolRequest(id="1", name="final_answer", arguments={"answer": 42})
    assert literal_answer(Message(role="assistant", tool_calls=(call,)), None) == 42


def test_the_comparison_counts_these_replies() -> None:
    page = (Path(__file__).parents[3] / "docs" / "comparison.md").read_text(encoding="utf-8")
    counts = {name: len(families.PROGRAMS[name]) + len(families.CALLS[name]) for name in families.PROGRAMS}
    counts |= {"any": len(PROGRAMS) + len(CALLS), "**all**": len(ALL_PROGRAMS) + len(ALL_CALLS)}
    assert counts["**all**"] >= 150
    for name, count in counts.items():
        bold = "**" if name == "**all**" else ""
        assert f"| {name} | {bold}{count}{bold} | {bold}{count}{bold} |" in page


@pytest.mark.parametrize("piece", ["{a: ", '{"x": ', "{'y': ", '{name: "'])
def test_brackets_that_are_never_closed_keep_the_host_busy_for_so_long_only(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = vars(calls)["_closing"]
    searched: list[int] = []

    def counted(text: str, start: int, room: int) -> int:
        end: int = closing(text, start, room)
        searched.append(min(room, 200_000, len(text) - start) if end < 0 else end - start)
        return end

    monkeypatch.setattr(calls, "_closing", counted)
    with pytest.raises(ReplyUnparsable):
        find_tool_calls(piece * 50_000)
    assert sum(searched) <= 1_000_000
