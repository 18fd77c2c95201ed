"""From a model's reply to the program in it.

Models mark their code with tags or with fences, forget an end, put fences into strings, explain the tags in prose, and
draft in their reasoning. So a mark only says where a program may begin or end: Python's own parser decides where it
does. Each mark that may begin a program is tried with each mark behind it that may end it, the likeliest first, and the
first text that parses is the program. Where none does, what stands between the marks is the program all the same: the
guest's error then says what is wrong, and the guest's Python may be newer than this one.
"""

import ast
import html
import io
import json
import re
import threading
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, cast

from cloche.agent.errors import ReplyUnparsable
from cloche.agent.replies.reasoning import REASONING_CLOSE, REASONING_OPEN, end_of_reasoning, is_quoted

__all__ = ["CodeTags", "ReadReply", "find_code", "parsed", "read_reply"]

CodeTags = tuple[str, str]
"""How a model marks its code: what stands before it and what behind."""

# Languages of fences whose content is Python. No language at all may be Python too.
_PYTHON = frozenset(
    ("python", "python3", "py", "py3", "ipython", "ipython3", "tool_code", "tool-code", "pycon", "code")
)
# Marks that models were trained with; they are tried beside the agent's own tags.
_ALIASES = (
    ("<code>", "</code>"),
    ("<python>", "</python>"),
    ("<tool_code>", "</tool_code>"),
    ("<execute_python>", "</execute_python>"),
    ("<execute_ipython>", "</execute_ipython>"),
    ("<execute>", "</execute>"),
    ("[PYTHON]", "[/PYTHON]"),
    ("<|python_tag|>", "<|eom_id|>"),
    ("<|python_start|>", "<|python_end|>"),
)
_ENDS = ("<end_code>", "</end_code>", "<end_action>", "<|im_end|>", "<|eot_id|>")

# A fence begins a line, behind a list's or a quotation's mark; or it follows text and names Python.
_FENCE = r"(?:^(?P<indent>[ \t]*(?:(?:[-*+>]|\d+[.)])[ \t]+)?)|(?<=[ \t:>\]]))(?P<ticks>`{3,}|~{3,})(?P<info>[^\n`]*)$"
_FENCE_LINE = re.compile(r"^[ \t>]*(?P<ticks>`{3,}|~{3,})(?P<info>[^\n`]*)$", re.MULTILINE)
# Not the attributes that a fence may have: title="a.py", {1,2}.
_INLINE_FENCE = r"(?P<one>`{3,})(?:python|py)[ \t]+(?=\S)(?!\w+=[\"']|\{)"
_OBSERVATION = r"^Observations?:"
_LABEL = re.compile(r"(?:^|\n)[ \t#*_]*(?:code|program|action)[ \t*_]*:[ \t*_]*\n*$", re.IGNORECASE)
_PARTIAL_END = re.compile(r"\s*(?:</?\w*|\[/?\w*|`{1,2})\s*$")

# A hostile reply must not keep the host busy: how much text is parsed for one reply, how many marks are tried.
_MAX_PARSED = 1_000_000
_MAX_OPENINGS = 50
_MAX_CLOSINGS = 50
# Splitting text into tokens takes so much longer than parsing it.
_TOKENS_COST = 10
_warnings_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class ReadReply:
    """A reply taken apart: its ``code``, what of it is ``kept`` as the model's own words, and its ``reasoning``.

    ``kept`` has neither reasoning nor what the model made up behind its program, such as an observation.
    """

    code: str
    kept: str
    reasoning: str = ""


def find_code(text: str, tags: CodeTags) -> str:
    """Return the program of a reply, several blocks joined. Raises ReplyUnparsable."""
    return read_reply(text, tags).code


def read_reply(text: str, tags: CodeTags) -> ReadReply:
    """Take a reply apart. Raises ReplyUnparsable, which says how to write a program, where there is none."""
    scan = _Scan(text.replace("\r\n", "\n").lstrip("\ufeff"), tags)
    scan.run()
    code = "\n\n".join(block.code for block in scan.chosen())
    if not code.strip():
        code = scan.bare() or scan.wrapped()
    if not code.strip() and "&lt;" in text:
        # Something on the way took the reply for a page.
        unescaped = html.unescape(text)
        return read_reply(unescaped if "&lt;" not in unescaped else unescaped.replace("&lt;", ""), tags)
    if not code.strip():
        raise ReplyUnparsable(_no_code(text, tags, unfinished=scan.unfinished))
    return ReadReply(code, scan.kept(), "".join(scan.reasoning).strip())


def parsed(code: str) -> ast.Module | None:
    """Return what Python's parser makes of a program, without running it; None where it is none."""
    with _warnings_lock, warnings.catch_warnings():
        # Of strings with strange escapes: the guest says it to the model.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code, "<reply>")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


@dataclass(frozen=True, slots=True)
class _Block:
    """A piece of a reply that may be a program: from ``start`` to ``end`` with its marks. A lower rank is likelier.

    ``parses`` says whether the parser takes it.
    """

    start: int
    end: int
    code: str
    rank: int
    parses: bool


_TAGGED, _LABELLED, _FENCED, _ALIASED, _INLINE = range(5)


@dataclass(frozen=True, slots=True)
class _Opening:
    """A mark that may begin a program: where it is, where the program begins, and which marks end it by right."""

    start: int
    begin: int
    rank: int
    closing: str
    indent: str = ""
    certain: bool = True


class _Scan:
    """Goes over a reply once, from mark to mark; what is in a program is not looked at for marks."""

    def __init__(self, text: str, tags: CodeTags) -> None:
        self.text = text
        self.reasoning: list[str] = []
        self.unfinished = False
        self._tags = tags
        self._end = len(text)
        self._blocks: list[_Block] = []
        self._kept: list[tuple[int, int]] = []
        self._kept_from = 0
        self._budget = _MAX_PARSED
        self._openings = _MAX_OPENINGS
        self._marks, self._ends, self._closing = _patterns(tags)

    def run(self) -> None:
        """Find all blocks."""
        position = 0
        while position < self._end and (mark := self._marks.search(self.text, position)):
            position = self._take(mark)
        if not self.unfinished:
            self._keep(self._end)

    def chosen(self) -> list[_Block]:
        """Return the blocks of the likeliest kind, in order."""
        blocks = self._without_overlaps()
        if not blocks:
            return []
        best = min(block.rank for block in blocks)
        return [block for block in blocks if block.rank == best]

    def bare(self) -> str:
        """Return the reply itself where it is a program without any mark, or what follows its label."""
        text = self.kept()
        if label := re.search(r"(?:^|\n)[ \t#*_]*code[ \t*_]*:[ \t*_]*\n", text, re.IGNORECASE):
            text = text[label.end() :]
        code = text.strip("\n").rstrip()
        return code if code.strip() and self._is_program(code, certain=False) else ""

    def wrapped(self) -> str:
        """Return the program that is an argument in the reply: as JSON, or of a call of an interpreter."""
        return next((_stripped(code) for code in _arguments(self.kept()) if self._is_program(code, certain=False)), "")

    def kept(self) -> str:
        """Return the reply without reasoning and without what was made up."""
        return "".join(self.text[start:end] for start, end in self._kept).strip("\n")

    def _take(self, mark: "re.Match[str]") -> int:
        """Look at one mark and return where to look for the next one."""
        if mark["think"]:
            return self._skip_reasoning(mark)
        if mark["thought"]:
            return self._forget(mark)
        if mark["observation"]:
            return self._made_up(mark)
        self._openings -= 1
        if self._openings < 0:
            return mark.end()
        opening = self._opening(mark)
        if opening is None:
            return self._behind_foreign(mark)
        block = self._block(opening)
        if block is None:
            return mark.end()
        self._blocks.append(block)
        return block.end if block.parses else mark.end()

    def _skip_reasoning(self, mark: "re.Match[str]") -> int:
        end = end_of_reasoning(self.text, mark.start(), mark.end())
        if end is None:
            return mark.end()
        self._keep(mark.start())
        self._kept_from = end
        closed = re.search(f"(?:{REASONING_CLOSE})$", self.text[mark.end() : end], re.IGNORECASE)
        self.unfinished = closed is None
        self.reasoning.append(self.text[mark.end() : end if closed is None else mark.end() + closed.start()])
        return end

    def _forget(self, mark: "re.Match[str]") -> int:
        """Take all that stands before an end of reasoning as reasoning: its beginning was in the prompt."""
        if not is_quoted(self.text, mark.start(), mark.end()):
            self.reasoning += [self.text[self._kept_from : mark.start()]]
            self._kept, self._blocks, self._kept_from = [], [], mark.end()
        return mark.end()

    def _made_up(self, mark: "re.Match[str]") -> int:
        """End the reply where the model writes an observation of its own, behind a program."""
        if not any(block.end <= mark.start() for block in self._blocks):
            return mark.end()
        self._end = mark.start()
        return self._end

    def _keep(self, end: int) -> None:
        self._kept.append((self._kept_from, end))

    def _opening(self, mark: "re.Match[str]") -> _Opening | None:
        if mark["tag"]:
            return self._tag(mark)
        if mark["one"]:
            return _Opening(mark.start(), mark.end(), _FENCED, mark["one"])
        language = _language(mark["info"])
        if language not in ("", *_PYTHON):
            return None
        if not language and mark["indent"] is None:
            return None
        labelled = _LABEL.search(self.text[max(0, mark.start() - 200) : mark.start()]) is not None
        rank = _LABELLED if labelled else _FENCED
        certain = bool(language) or labelled
        return _Opening(
            mark.start(), min(mark.end() + 1, len(self.text)), rank, mark["ticks"], mark["indent"] or "", certain
        )

    def _tag(self, mark: "re.Match[str]") -> _Opening:
        name = re.sub(r"\s[^>]*>$", ">", mark["tag"]).lower()
        own = name == self._tags[0].lower()
        before = self.text[self.text.rfind("\n", 0, mark.start()) + 1 : mark.start()]
        alone = (
            not before.strip() or self.text[mark.end() : mark.end() + 1] == "\n" or _LABEL.search(before) is not None
        )
        rank = (_TAGGED if own else _ALIASED) if alone else _INLINE
        return _Opening(mark.start(), mark.end(), rank, self._closing[name], "", alone)

    def _behind_foreign(self, mark: "re.Match[str]") -> int:
        """Return where a fence of another language ends: its content is not Python, whatever marks are in it."""
        ticks = mark["ticks"] or ""
        for line in _FENCE_LINE.finditer(self.text, min(mark.end() + 1, len(self.text))):
            if line["info"].strip():
                return line.start()
            if line["ticks"].startswith(ticks):
                return line.end()
        return mark.end()

    def _block(self, opening: _Opening) -> _Block | None:
        for start, end in self._closings(opening):
            for code in _readings(self.text[opening.begin : start], opening.indent):
                if self._is_program(code, certain=opening.certain):
                    rank = opening.rank
                    if rank in (_TAGGED, _ALIASED) and self._is_in_prose(opening, start, end):
                        if not self._is_program(code, certain=False):
                            return None
                        rank = _INLINE
                    return _Block(opening.start, end, _stripped(code), rank, parses=True)
        return self._unparsed(opening) if opening.certain else None

    def _is_in_prose(self, opening: _Opening, start: int, end: int) -> bool:
        """Return whether a pair of tags is part of a sentence: text follows on its line, and it is of one line."""
        rest = self.text[end : self._line_end(end)]
        return bool(rest.strip(" \t.,;:")) and "\n" not in self.text[opening.begin : start]

    def _unparsed(self, opening: _Opening) -> _Block | None:
        """Return what stands between the marks where nothing parses: up to the first end that is in no string."""
        closings = list(self._closings(opening))
        start, end = next(
            ((start, end) for start, end in closings if not self._ends_in_string(self.text[opening.begin : start])),
            closings[-1],
        )
        code = _stripped(next(iter(reversed(list(_readings(self.text[opening.begin : start], opening.indent))))))
        return _Block(opening.start, end, code, opening.rank, parses=False) if code.strip() else None

    def _closings(self, opening: _Opening) -> Iterator[tuple[int, int]]:
        """Yield where a program may end, and where what ends it does: the likeliest first, the text's end last."""
        text, begin = self.text, opening.begin
        own = list(islice(self._own_closings(opening), _MAX_CLOSINGS))
        lines = [(start, end) for start, end in own if self._is_alone(start, end)]
        yield from lines
        others = [
            (mark.start(), mark.end() if mark["end"] else mark.start())
            for mark in islice(self._ends.finditer(text, begin), _MAX_CLOSINGS)
        ]
        bare = (line for line in _FENCE_LINE.finditer(text, begin) if not line["info"].strip())
        fences = [(line.start(), line.end()) for line in islice(bare, _MAX_CLOSINGS)]
        yield from sorted({*others, *fences} - set(lines))
        alone = set(lines)
        yield from (pair for pair in own if pair not in alone)
        yield len(text), len(text)
        if partial := _PARTIAL_END.search(text, max(begin, len(text) - 40)):
            yield partial.start(), len(text)

    def _own_closings(self, opening: _Opening) -> Iterator[tuple[int, int]]:
        closing = opening.closing
        if closing.startswith(("```", "~~~")):
            pattern = rf"{re.escape(closing[0])}{{{len(closing)},}}(?=[ \t]*(?:$|<))"
        else:
            pattern = re.escape(closing)
        for mark in re.compile(pattern, re.IGNORECASE | re.MULTILINE).finditer(self.text, opening.begin):
            line = self.text.rfind("\n", 0, mark.start()) + 1
            # The indent of a fence is the fence's, not the program's.
            blank = not self.text[max(line, opening.begin) : mark.start()].strip()
            yield (max(line, opening.begin) if blank else mark.start()), mark.end()

    def _is_alone(self, start: int, end: int) -> bool:
        """Return whether an end is the only thing on its line, or the last one."""
        begins = start == 0 or self.text[start - 1] == "\n"
        return begins or not self.text[end : self._line_end(end)].strip()

    def _line_end(self, position: int) -> int:
        end = self.text.find("\n", position)
        return len(self.text) if end < 0 else end

    def _is_program(self, code: str, *, certain: bool) -> bool:
        if not code.strip() or not self._may_take(len(code)):
            return False
        tree = parsed(code)
        return tree is not None and (certain or _does_something(tree))

    def _ends_in_string(self, code: str) -> bool:
        return self._may_take(_TOKENS_COST * len(code)) and _ends_in_string(code)

    def _may_take(self, amount: int) -> bool:
        allowed = self._budget >= amount
        self._budget -= amount if allowed else 0
        return allowed

    def _without_overlaps(self) -> list[_Block]:
        """Return the blocks without those in which a better one is found, and without those inside of a better one."""
        kept: list[_Block] = []
        for block in self._blocks:
            if block.parses or not any(self._covers(block, other) for other in self._blocks):
                kept.append(block)
        broken = [block for block in kept if not block.parses]
        return [
            block for block in kept if not any(one is not block and one.start < block.start < one.end for one in broken)
        ]

    @staticmethod
    def _covers(block: _Block, other: _Block) -> bool:
        return other is not block and block.start < other.start < block.end and other.rank <= block.rank


@lru_cache(maxsize=16)
def _patterns(tags: CodeTags) -> tuple["re.Pattern[str]", "re.Pattern[str]", dict[str, str]]:
    """Return what may begin a program, what may end one, and the closing tag of each opening one."""
    pairs = dict([*_ALIASES, tags])
    pairs = {opening: closing for opening, closing in pairs.items() if not opening.startswith(("```", "~~~"))}
    marks = [
        f"(?P<think>{REASONING_OPEN})",
        f"(?P<thought>{REASONING_CLOSE})",
        f"(?P<tag>{'|'.join(map(_tag_pattern, pairs))})",
        _INLINE_FENCE,
        _FENCE,
        f"(?P<observation>{_OBSERVATION})",
    ]
    ends = "|".join(re.escape(end) for end in {*pairs.values(), *_ENDS, tags[1]})
    flags = re.IGNORECASE | re.MULTILINE
    closing = {opening.lower(): closing for opening, closing in pairs.items()}
    begins = re.compile("|".join(marks), flags)
    return begins, re.compile(f"(?P<end>{ends})|{_OBSERVATION}|{REASONING_CLOSE}", flags), closing


def _tag_pattern(opening: str) -> str:
    # HTML's own tag may have attributes: <code language="python">.
    return rf"{re.escape(opening[:-1])}(?:[ \t][^<>\n]*)?>" if re.fullmatch(r"<\w+>", opening) else re.escape(opening)


_UNSEEN = re.compile("[\u200b-\u200f\u2060\ufeff]")


def _language(info: str) -> str:
    """Return the language that a fence names: ``{.python}``, ``python title="x"`` and ``Python`` are all Python."""
    words = re.split(r"[\s,:]+", _UNSEEN.sub("", info).strip().strip("{}").lstrip(".").strip())
    return words[0].lower() if words else ""


def _readings(content: str, indent: str) -> Iterator[str]:
    """Yield what a text between two marks may be as a program: as it stands, and without a fence or an indent."""
    code = content.strip("\n") if content.strip() else ""
    if ">" in indent:
        # The fence is in a quotation.
        code, indent = re.sub(r"^[ \t]*>[ ]?", "", code, flags=re.MULTILINE).strip("\n"), ""
    yield code
    inner = _unfenced(code)
    if inner != code:
        yield inner
    if indent or inner[:1] in (" ", "\t"):
        yield _dedented(inner, len(indent))
    if inner.startswith(">>> "):
        yield _typed_in(inner)


def _typed_in(code: str) -> str:
    """Return what was typed at the interpreter's prompts, without the prompts and what was answered."""
    return "\n".join(line[4:] for line in code.split("\n") if line.startswith((">>> ", "... ")) or line == "...")


_MESSAGE = re.compile(r"<\|message\|>(.*?)(?:<\|(?:call|end|return)\|>|\Z)", re.DOTALL)
_CODE_KEYS = ("code", "program", "python", "source")
_INNER_KEYS = ("arguments", "parameters", "args", "input", "function", "action", "action_input")
_MAX_OBJECTS = 20
_DECODER = json.JSONDecoder(strict=False)


def _arguments(text: str) -> Iterator[str]:
    """Yield texts that may be programs: messages to an interpreter, and what JSON objects have as their code."""
    yield from (match[1].strip("\n") for match in islice(_MESSAGE.finditer(text), _MAX_OBJECTS))
    for match in islice(re.finditer(r"\{\s*\"", text), _MAX_OBJECTS):
        with suppress(ValueError, RecursionError):
            yield from _codes(_DECODER.raw_decode(text, match.start())[0])


def _codes(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str) and depth:
        with suppress(ValueError, RecursionError):
            value = _DECODER.decode(value)
    if not isinstance(value, dict) or depth > len(_CODE_KEYS):
        return
    fields = cast("dict[str, Any]", value)
    yield from (fields[key] for key in _CODE_KEYS if isinstance(fields.get(key), str))
    for key in _INNER_KEYS:
        yield from _codes(fields.get(key), depth + 1)


def _unfenced(code: str) -> str:
    """Return what is inside of a fence: models write one inside the tags."""
    first = _FENCE_LINE.match(code.lstrip("\n"))
    if first is None or _language(first["info"]) not in ("", *_PYTHON):
        return code
    inner = code.lstrip("\n")[first.end() :].strip("\n")
    last = inner.rfind("\n") + 1
    closing = _FENCE_LINE.match(inner[last:].strip())
    return inner[:last].rstrip("\n") if closing is not None and not closing["info"].strip() else inner


def _dedented(code: str, indent: int) -> str:
    """Return a program without the indent that all of its lines have; lines of texts in it lose no more than that."""
    lines = code.split("\n")
    inside = _lines_in_strings(code)
    widths = [
        len(line) - len(line.lstrip(" \t"))
        for number, line in enumerate(lines)
        if line.strip() and number not in inside
    ]
    width = min(widths, default=0)
    return "\n".join(_cut(line, indent if number in inside else width) for number, line in enumerate(lines))


def _cut(line: str, width: int) -> str:
    return line[min(width, len(line) - len(line.lstrip(" \t"))) :]


def _lines_in_strings(code: str) -> set[int]:
    """Return the numbers, from 0, of the lines that begin inside a string."""
    inside: set[int] = set()
    # The indent is no error behind a line that asks for one.
    for token in _tokens(f"if 1:\n{code}\n"):
        inside.update(range(token.start[0] - 1, token.end[0] - 1) if token.type in _TEXTS else ())
    return inside


_TEXTS = frozenset(
    number for number, name in tokenize.tok_name.items() if name in ("STRING", "FSTRING_MIDDLE", "TSTRING_MIDDLE")
)


def _ends_in_string(code: str) -> bool:
    """Return whether a text ends within a string that goes on over its end."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.ERRORTOKEN and token.string in "'\"" and "\n" not in code[-200:][-1:]:
                return token.end[0] >= code.count("\n") + 1
    except tokenize.TokenError as error:
        return "string" in str(error)
    except SyntaxError:
        return False
    return False


def _tokens(code: str) -> Iterable[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(code).readline)
    except (tokenize.TokenError, SyntaxError):
        return


def _stripped(code: str) -> str:
    return code.strip("\n").rstrip()


_DOING = (
    ast.Call,
    ast.Await,
    ast.Assign,
    ast.AugAssign,
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
)


def _does_something(tree: ast.Module) -> bool:
    """Return whether a program does more than to name or to write a value: prose and data may parse too."""
    return any(isinstance(node, _DOING) for node in ast.walk(tree))


def _no_code(text: str, tags: CodeTags, *, unfinished: bool) -> str:
    said = "there is no code in the reply"
    if not text.strip():
        said = "the reply is empty"
    elif unfinished:
        said = "the reply ended within its reasoning, before any code"
    example = f"{tags[0]}\nprint('hello')\n{tags[1]}"
    ending = f"{tags[0]}\nfinal_answer(...)\n{tags[1]}"
    return (
        f"{said}. Write a thought, then the code like this:\n{example}\nIf you know the answer, end the task:\n{ending}"
    )
