"""Tool calls that a model writes as text, and arguments as models write them.

Models that are not asked through an API of tools, or whose server does not read their own format, write calls as JSON,
as Python, or between marks of their family. Arguments come as objects, as strings of JSON, as strings of such strings,
with raw line breaks in them, or as Python.
"""

import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast
from uuid import uuid4

from cloche.agent.errors import ReplyUnparsable
from cloche.agent.messages import Message, ToolRequest
from cloche.agent.replies.programs import CodeTags, find_code, parsed
from cloche.agent.replies.reasoning import without_reasoning

__all__ = ["Schemas", "arguments_of", "find_tool_calls", "literal_answer", "with_ids"]

Schemas = Mapping[str, Mapping[str, Any]]
"""The JSON schemas of the tools' parameters by the tools' names: they tell what a text leaves open."""

_NAME_KEYS = ("name", "tool", "tool_name", "function", "action", "recipient_name")
_ARGUMENT_KEYS = (
    "arguments",
    "args",
    "parameters",
    "params",
    "input",
    "tool_input",
    "action_input",
    "kwargs",
    "tool_args",
)
# What may stand beside a name without arguments, if it is to be a call: other data has names too.
_BESIDE = frozenset((*_NAME_KEYS, "id", "type", "index", "intent"))
# Each wrong beginning may cost as much as the text is long.
_MAX_WRONG = 200
_MAX_RAW = 2_000
_MAX_LITERAL = 200_000
# Of one reply, for brackets that are never closed.
_MAX_SEARCHED = 1_000_000
_NAME = r"[\w.\-]+"
_OBSERVATION = re.compile(r"^Observations?:", re.MULTILINE)


def find_tool_calls(text: str, schemas: Schemas | None = None) -> tuple[ToolRequest, ...]:
    """Return the tool calls that stand in a reply's text; calls in its reasoning are drafts and do not count.

    A call whose arguments cannot be read is returned with ``arguments=None``. Raises ReplyUnparsable, saying how to
    write a call, where there is none.
    """
    answer = without_reasoning(text).answer
    # Behind an observation of the model's own making, everything is made up.
    for part in dict.fromkeys((_OBSERVATION.split(answer, 1)[0], answer)):
        for form in _FORMS:
            if calls := tuple(form(part, schemas or {})):
                return with_ids(calls)
    raise ReplyUnparsable(
        "there is no tool call in the reply. Call a tool, as JSON: "
        '{"name": "<tool>", "arguments": {...}}; to end, call final_answer'
    )


_ANSWER = "final_answer"
_ANSWER_SCHEMAS: Schemas = {_ANSWER: {"properties": {"answer": {}}, "type": "object"}}


def literal_answer(message: Message, tags: CodeTags | None) -> Any:
    """Return the answer in a reply for which text was asked; a call of final_answer is unwrapped, if it can be.

    That is one whose argument is a literal, as a program or as a tool call: nothing is run for it any more. Of any
    other reply it is the text, without reasoning.
    """
    calls = [call for call in message.tool_calls if call.name == _ANSWER]
    answer = without_reasoning(message.text).answer.strip()
    if not calls:
        try:
            code = find_code(message.text, tags or ("<code>", "</code>"))
        except ReplyUnparsable:
            code = ""
        if (found := _literal_argument(code)) is not None:
            return found[0]
        try:
            calls = [call for call in find_tool_calls(message.text, _ANSWER_SCHEMAS) if call.name == _ANSWER]
        except ReplyUnparsable:
            return answer
    given = calls[0].arguments if calls else None
    return next(iter(given.values())) if given and len(given) == 1 else answer


def _literal_argument(code: str) -> tuple[Any] | None:
    """Return what a program's last call of final_answer is given, if that is a literal."""
    tree = parsed(code)
    calls = [] if tree is None else [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in reversed(calls):
        if isinstance(call.func, ast.Name) and call.func.id == _ANSWER:
            values = [*call.args, *(keyword.value for keyword in call.keywords)]
            try:
                return (ast.literal_eval(values[0]),) if len(values) == 1 else None
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                return None
    return None


def arguments_of(value: Any) -> dict[str, Any] | None:
    """Return a call's arguments, however a model or a server encoded them; None where they are not an object."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return {}
    for _ in range(3):
        value = _value_of(value.strip()) if isinstance(value, str) else value
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def with_ids(requests: Iterable[ToolRequest]) -> tuple[ToolRequest, ...]:
    """Return the requests, each with an id of its own: models and servers send none, or the same one twice."""
    named: dict[str, ToolRequest] = {}
    for request in requests:
        id = request.id if request.id and request.id not in named else f"call_{uuid4().hex[:12]}"
        named[id] = request if id == request.id else request.model_copy(update={"id": id})
    return tuple(named.values())


def _request(name: str, arguments: Any, id: str = "") -> ToolRequest:
    read = arguments_of(arguments)
    raw = "" if read is not None else _text(arguments)[:_MAX_RAW]
    return ToolRequest(id=id, name=name.removeprefix("functions."), arguments=read, raw=raw)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


# JSON, and Python's literals, which models write for it.


def _from_json(text: str, schemas: Schemas) -> Iterator[ToolRequest]:
    for value in _values(text):
        yield from [value] if isinstance(value, ToolRequest) else _calls(value, schemas)


def _calls(value: Any, schemas: Schemas) -> Iterator[ToolRequest]:
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        for item in items:
            yield from _calls(item, schemas)
    elif isinstance(value, dict):
        item = cast("dict[str, Any]", value)
        for key in ("tool_calls", "function_call", "tool_call", "tool_uses", "functionCall"):
            if isinstance(item.get(key), list | dict):
                yield from _calls(item[key], schemas)
                return
        yield from _call(item, schemas)


def _call(item: dict[str, Any], schemas: Schemas) -> Iterator[ToolRequest]:
    inner = item.get("function")
    id = item["id"] if isinstance(item.get("id"), str) else ""
    if isinstance(inner, dict):
        yield from (call.model_copy(update={"id": id}) for call in _call(cast("dict[str, Any]", inner), schemas))
        return
    if len(item) == 1 and schemas.keys() >= item.keys():
        # {"weather": {"city": "Oslo"}}
        yield from (_request(tool, values) for tool, values in item.items() if isinstance(values, dict))
        return
    name = next((item[key] for key in _NAME_KEYS if isinstance(item.get(key), str)), "")
    if not re.fullmatch(_NAME, name) or _is_description(item):
        return
    given = [key for key in _ARGUMENT_KEYS if key in item]
    if given:
        yield _request(name, item[given[0]], id)
    elif item.keys() <= _BESIDE and (name in schemas or not schemas):
        yield _request(name, {}, id)


def _is_description(item: dict[str, Any]) -> bool:
    """Return whether this is a tool's description, which models repeat from the prompt: a schema, and no values."""
    parameters: Any = item.get("parameters", item.get("inputs"))
    return isinstance(parameters, dict) and {"type", "properties"} <= parameters.keys()


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON values and Python literals in a text; for those that look like a broken call, a ToolRequest."""
    position = wrong = 0
    room = _MAX_SEARCHED
    while wrong < _MAX_WRONG and (start := _next_start(text, position)) >= 0:
        value, end = _value_at(text, start, room)
        if end < 0:
            position, wrong = start + 1, wrong + 1
            room = max(0, room - min(_MAX_LITERAL, len(text) - start))
            if broken := _BROKEN_CALL.match(text, start):
                yield ToolRequest(id="", name=broken[1], arguments=None, raw=text[start : start + _MAX_RAW])
            continue
        position = end
        yield value


_BROKEN_CALL = re.compile(rf"\{{\s*[\"'](?:name|tool)[\"']\s*:\s*[\"']({_NAME})[\"']\s*,")
_LITERAL_START = re.compile(r"[\[{]\s*(?:[\[{]\s*)?(?:['\"]|\w+\s*:|/[/*])")
# Models write line breaks into strings, which JSON forbids.
_DECODER = json.JSONDecoder(strict=False)


def _next_start(text: str, position: int) -> int:
    starts = [start for start in (text.find("{", position), text.find("[", position)) if start >= 0]
    return min(starts, default=-1)


def _value_at(text: str, start: int, room: int = _MAX_LITERAL) -> tuple[Any, int]:
    """Return the value that begins here and where it ends, within ``room`` characters; -1 where none does."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        pass
    if _LITERAL_START.match(text, start) and (end := _closing(text, start, room)) > 0:
        for read in (_literal, _repaired):
            value = read(text[start:end])
            if value is not None:
                return value, end
    return None, -1


_NOT_JSON = re.compile(
    r"(?P<text>\"(?:\\.|[^\"\\])*\")|//[^\n]*|/\*.*?\*/|[\u00a0\u200b\ufeff]|(?P<key>[A-Za-z_]\w*)(?=\s*:)|,(?=\s*[}\]])",
    re.DOTALL,
)


def _repaired(text: str) -> Any:
    """Return the value of JSON as people write it: with comments, names without quotes, commas at the end; or None."""

    def put_right(mark: "re.Match[str]") -> str:
        return mark["text"] or (f'"{mark["key"]}"' if mark["key"] else " ")

    try:
        return _DECODER.decode(_NOT_JSON.sub(put_right, text))
    except (ValueError, RecursionError):
        return None


def _value_of(text: str) -> Any:
    value, end = _value_at(text, 0) if text[:1] in ("{", "[") else (None, -1)
    if end >= 0:
        return value
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return _literal(text)


def _closing(text: str, start: int, room: int) -> int:
    """Return where the bracket that opens at ``start`` is closed, strings left out; -1 if it is not."""
    depth = 0
    for mark in re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[\[{(]|[\]})]", re.DOTALL).finditer(
        text, start, start + min(room, _MAX_LITERAL)
    ):
        depth += {"[": 1, "{": 1, "(": 1, "]": -1, "}": -1, ")": -1}.get(mark[0], 0)
        if depth == 0:
            return mark.end()
    return -1


_JSON_NAMES = {"true": True, "false": False, "null": None}


def _literal(text: str) -> Any:
    """Return a Python literal's value, in which JSON's true, false and null may stand; None where it is none."""
    tree = parsed(text) if len(text) <= _MAX_LITERAL else None
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return None
    return _literal_node(tree.body[0].value)


def _literal_node(node: ast.expr) -> Any:
    class Names(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return ast.Constant(_JSON_NAMES[node.id]) if node.id in _JSON_NAMES else node

    try:
        return ast.literal_eval(Names().visit(node))
    except (ValueError, TypeError, RecursionError, MemoryError, SyntaxError):
        return None


# The marks of families of models.

# DeepSeek's bars and underlines are characters of their own.
_BEGIN = "<[|\uff5c]tool[_\u2581]call[_\u2581]begin[|\uff5c]>"
_SEPARATOR = "<[|\uff5c]tool[_\u2581]sep[|\uff5c]>"
_MARKED = re.compile(
    # DeepSeek and Kimi: <|tool_call_begin|>function<|tool_sep|>name, then JSON.
    rf"{_BEGIN}(?:function(?=<))?(?:{_SEPARATOR})?\s*(?:functions\.)?({_NAME})(?::\d+)?\s*"
    rf"(?:{_SEPARATOR}|<\|tool_call_argument_begin\|>)?\s*(?:```(?:json)?)?\s*(?=[{{\[])"
    # Mistral: [TOOL_CALLS]name{...} or [TOOL_CALLS]name[ARGS]{...}.
    rf"|\[TOOL_CALLS\]\s*({_NAME})\s*(?:\[CALL_ID\]{_NAME})?\s*(?:\[ARGS\])?\s*(?=\{{)"
    # gpt-oss: to=functions.name <|constrain|>json<|message|>{...}; Qwen's agent: two lines with flowers.
    rf"|\bto=functions\.({_NAME})[^{{\n]{{0,80}}<\|message\|>\s*(?=\{{)"
    rf"|✿FUNCTION✿:\s*({_NAME})\s*✿ARGS✿:\s*(?=\{{)"
    # Llama and Qwen: <function=name>{...}.
    rf"|<function=[\"']?({_NAME})[\"']?>\s*(?=\{{)"
    # ReAct: Action: name, then Action Input: {...}.
    rf"|^\s*\**Action\**:\**\s*[`\"']?({_NAME})[`\"']?\s*\n\s*\**Action Input\**:\**\s*(?:```(?:json)?)?\s*(?=\{{)",
    re.MULTILINE | re.IGNORECASE,
)


def _from_marked(text: str, schemas: Schemas) -> Iterator[ToolRequest]:
    for mark in _MARKED.finditer(text):
        name = next(filter(None, mark.groups()))
        value, end = _value_at(text, mark.end())
        yield _request(name, text[mark.end() : mark.end() + _MAX_RAW] if end < 0 else value)


_ELEMENT = re.compile(
    # Qwen's <function=name> and <invoke name="name">, with parameters as elements.
    rf"<function=[\"']?({_NAME})[\"']?>(.*?)(?:</function>|\Z)"
    rf"|<invoke\s+name=[\"']({_NAME})[\"']\s*>(.*?)(?:</invoke>|\Z)"
    # GLM: <tool_call>name, then <arg_key> and <arg_value>.
    rf"|<tool_call>\s*({_NAME})\s*(?=<arg_key>|</tool_call>)(.*?)(?:</tool_call>|\Z)",
    re.DOTALL,
)
_PARAMETER = re.compile(
    rf"<parameter=[\"']?({_NAME})[\"']?>(.*?)(?:</parameter>|(?=<parameter=)|\Z)"
    rf"|<parameter\s+name=[\"']({_NAME})[\"'][^>]*>(.*?)(?:</parameter>|\Z)"
    rf"|<arg_key>\s*({_NAME})\s*</arg_key>\s*<arg_value>(.*?)(?:</arg_value>|\Z)",
    re.DOTALL,
)


def _from_elements(text: str, schemas: Schemas) -> Iterator[ToolRequest]:
    for element in _ELEMENT.finditer(text):
        name, body = (group for group in element.groups() if group is not None)
        properties = _properties(schemas, name)
        arguments: dict[str, Any] = {}
        for parameter in _PARAMETER.finditer(body):
            key, value = (group for group in parameter.groups() if group is not None)
            arguments[key] = _typed(value.strip("\n"), properties.get(key, {}))
        yield _request(name, arguments if arguments or not body.strip() else body)


def _properties(schemas: Schemas, name: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", schemas.get(name, {}).get("properties", {}))


def _typed(text: str, schema: Any) -> Any:
    """Return a value that is written as text: text stays text where the tool asks for text."""
    if isinstance(schema, Mapping) and cast("Mapping[str, Any]", schema).get("type") == "string":
        return text
    try:
        return _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        value = _literal(text.strip())
        return text if value is None else value


# Python: [f(a=1), g()], print(default_api.f(a=1)), f.call(a=1).

_PROGRAM = re.compile(r"```(?:tool_code|python|py)?[ \t]*\n(.*?)(?:```|\Z)|<\|python_tag\|>(.*?)(?:<\||\Z)", re.DOTALL)


def _from_python(text: str, schemas: Schemas) -> Iterator[ToolRequest]:
    marked = ["".join(filter(None, match.groups())) for match in _PROGRAM.finditer(text)]
    for program in marked or [text]:
        tree = parsed(program.strip())
        for statement in [] if tree is None else tree.body:
            value = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
            yield from _python_calls(value, schemas)


def _python_calls(node: ast.expr | None, schemas: Schemas) -> Iterator[ToolRequest]:
    match node:
        case ast.List(elts) | ast.Tuple(elts):
            for item in elts:
                yield from _python_calls(item, schemas)
        case ast.Await(value):
            yield from _python_calls(value, schemas)
        case ast.Call(ast.Name("print"), [inner], []):
            yield from _python_calls(inner, schemas)
        case ast.Call(function, values, keywords):
            name = ast.unparse(function).removesuffix(".call").rpartition(".")[2]
            if name in schemas or not schemas:
                yield _python_request(name, values, keywords, schemas)
        case _:
            return


def _python_request(name: str, values: list[ast.expr], keywords: list[ast.keyword], schemas: Schemas) -> ToolRequest:
    names = [*_properties(schemas, name)] or (["answer"] if name == "final_answer" else [])
    pairs = [*zip(names, values, strict=False), *((one.arg or "**", one.value) for one in keywords)]
    read = {key: _constant(value) for key, value in pairs}
    if len(values) > len(names) or _UNREADABLE in read.values() or "**" in read:
        raw = ", ".join([*map(ast.unparse, values), *(f"{one.arg}={ast.unparse(one.value)}" for one in keywords)])
        return ToolRequest(id="", name=name, arguments=None, raw=raw[:_MAX_RAW])
    return ToolRequest(id="", name=name, arguments=read)


_UNREADABLE = object()


def _constant(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    value = _literal_node(node)
    return _UNREADABLE if value is None else value


_FORMS: tuple[Callable[[str, Schemas], Iterator[ToolRequest]], ...] = (
    _from_marked,
    _from_elements,
    _from_json,
    _from_python,
)
