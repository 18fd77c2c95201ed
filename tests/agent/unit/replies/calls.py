# ruff: noqa: E501, RUF001  (replies as models write them)
"""Replies with tool calls as text, each with the calls that must result; None where there is none."""

from typing import Any

SCHEMAS: dict[str, dict[str, Any]] = {
    "final_answer": {"properties": {"answer": {}}, "type": "object"},
    "now": {"properties": {}, "type": "object"},
    "w": {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "type": "object"},
}

CALLS: list[tuple[str, list[tuple[str, dict[str, Any] | None]] | None]] = [
    ('{"name": "w", "arguments": "{\\"city\\": \\"Oslo\\"}"}', [("w", {"city": "Oslo"})]),
    (
        '{"id": "1", "type": "function", "function": {"name": "w", "arguments": {"city": "Oslo"}}}',
        [("w", {"city": "Oslo"})],
    ),
    ("{'name': 'w', 'arguments': {'city': 'Oslo', 'metric': True}}", [("w", {"city": "Oslo", "metric": True})]),
    (
        '<think>maybe {"name": "delete", "arguments": {}} ... no</think>{"name": "w", "arguments": {"city": "Oslo"}}',
        [("w", {"city": "Oslo"})],
    ),
    ('{"tool": "w", "args": {"city": "Oslo"}}', [("w", {"city": "Oslo"})]),
    ('{"name": "now"}', [("now", {})]),
    ('{"name": "now", "arguments": null}', [("now", {})]),
    ('{"name": "now", "arguments": ""}', [("now", {})]),
    (
        '{"name": "w", "description": "d", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}} then {"name": "w", "arguments": {"city": "Oslo"}}',
        [("w", {"city": "Oslo"})],
    ),
    ('{"name": "w", "arguments": {"city": "Os\nlo"}}', [("w", {"city": "Os\nlo"})]),
    (
        '{"name": "w", "arguments": {"city": "Oslo"}} {"name": "w", "arguments": {"city": }}',
        [("w", {"city": "Oslo"}), ("w", None)],
    ),
    (
        '{"name": "w", "arguments": [1]} {"name": "w", "arguments": {"city": "Oslo"}}',
        [("w", None), ("w", {"city": "Oslo"})],
    ),
    ('<tool_call>\n{"name": "w", "arguments": {"city": "Oslo"}}\n</tool_call>', [("w", {"city": "Oslo"})]),
    (
        "<tool_call>\n<function=w>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
        [("w", {"city": "Oslo", "days": 3})],
    ),
    ('<function=w>{"city": "Oslo"}</function>', [("w", {"city": "Oslo"})]),
    ("<tool_call>w\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n</tool_call>", [("w", {"city": "Oslo"})]),
    ('<invoke name="w"><parameter name="city">0150</parameter></invoke>', [("w", {"city": "0150"})]),
    (
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>w\n```json\n{"city": "Oslo"}\n```<｜tool▁call▁end｜>',
        [("w", {"city": "Oslo"})],
    ),
    ('<｜tool▁call▁begin｜>w<｜tool▁sep｜>{"city": "Oslo"}<｜tool▁call▁end｜>', [("w", {"city": "Oslo"})]),
    (
        '<|tool_calls_section_begin|><|tool_call_begin|>functions.w:0<|tool_call_argument_begin|>{"city": "Oslo"}<|tool_call_end|>',
        [("w", {"city": "Oslo"})],
    ),
    ('[TOOL_CALLS]w{"city": "Oslo"}', [("w", {"city": "Oslo"})]),
    ('[TOOL_CALLS]w[ARGS]{"city": "Oslo"}', [("w", {"city": "Oslo"})]),
    ('[TOOL_CALLS] [{"name": "w", "arguments": {"city": "Oslo"}}]', [("w", {"city": "Oslo"})]),
    ('Thought: x\nAction: w\nAction Input: {"city": "Oslo"}', [("w", {"city": "Oslo"})]),
    ('Action:\n{"name": "w", "arguments": {"city": "Oslo"}}', [("w", {"city": "Oslo"})]),
    ('[w(city="Oslo"), now()]', [("w", {"city": "Oslo"}), ("now", {})]),
    ('```tool_code\nprint(default_api.w(city="Oslo"))\n```', [("w", {"city": "Oslo"})]),
    ('<|python_tag|>w.call(city="Oslo")', [("w", {"city": "Oslo"})]),
    ('final_answer("done")', [("final_answer", {"answer": "done"})]),
    (
        '{"tool_calls": [{"id": "a", "function": {"name": "w", "arguments": "{\\"city\\": \\"Oslo\\"}"}}]}',
        [("w", {"city": "Oslo"})],
    ),
    ('{"action": "w", "action_input": {"city": "Oslo"}}', [("w", {"city": "Oslo"})]),
    ('I call {"name": "add", "arguments": {"a": 1}}', [("add", {"a": 1})]),
    ('[{"name": "f", "arguments": {}}, {"name": "g", "parameters": {"x": [1]}}]', [("f", {}), ("g", {"x": [1]})]),
    ('{"broken": } {"name": "f", "arguments": {}}', [("f", {})]),
    ('{"name": "Oslo", "population": 5}', None),
    ("The city is Oslo.", None),
    ('{"name": "Oslo"}', None),
    # JSON as people write it.
    ('{"name": "w", // the tool\n"arguments": {"city": "Oslo"}}', [("w", {"city": "Oslo"})]),
    ('{name: "w", arguments: {city: "Oslo", days: 2,}}', [("w", {"city": "Oslo", "days": 2})]),
    ('{\u00a0"name": "w",\u00a0"arguments": {"city": "https://x/*y*/"}}', [("w", {"city": "https://x/*y*/"})]),
    ('{"w": {"city": "Oslo"}}', [("w", {"city": "Oslo"})]),
    ('{"v": {"city": "Oslo"}}', None),
    ("{note: this is no call}", None),
    # Forms of other families.
    ('Action: w\nAction Input: {"city": "Oslo"}', [("w", {"city": "Oslo"})]),
    (
        '<|tool_calls_section_begin|><|tool_call_begin|>functions.w:0<|tool_call_argument_begin|>{"city": "Oslo"}<|tool_call_end|><|tool_calls_section_end|>',
        [("w", {"city": "Oslo"})],
    ),
    ("<tool_call>w\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n</tool_call>", [("w", {"city": "Oslo"})]),
    (
        '<|channel|>commentary to=functions.w <|constrain|>json<|message|>{"city": "Oslo"}<|call|>',
        [("w", {"city": "Oslo"})],
    ),
    ('I will call w(city="Oslo") now.', None),
]
