"""What a model wrote to itself before its answer, and the answer without it.

Providers put reasoning into a field of its own; models behind plain servers leave it in the text, between marks. Drafts
of programs and of tool calls in it are not what the model decided on: nothing in it may run.
"""

import re
from dataclasses import dataclass

__all__ = ["REASONING_CLOSE", "REASONING_OPEN", "Reasoning", "end_of_reasoning", "is_quoted", "without_reasoning"]

_NAMES = "think|thinking|thought|thoughts|reasoning|scratchpad|seed:think"

REASONING_OPEN = (
    rf"<(?:{_NAMES})>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|START_THINKING\|>|<\|channel\|>analysis<\|message\|>"
)
"""A regular expression for where reasoning begins, whatever the case of its letters."""

REASONING_CLOSE = (
    rf"</(?:{_NAMES})>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|END_THINKING\|>"
    r"|<\|end\|>|<\|channel\|>final<\|message\|>"
)
"""A regular expression for where it ends."""

_MARK = re.compile(f"(?P<open>{REASONING_OPEN})|(?P<close>{REASONING_CLOSE})", re.IGNORECASE)
_CLOSE = re.compile(REASONING_CLOSE, re.IGNORECASE)
_QUOTES = "`'\""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A reply without its reasoning, and the reasoning. ``unfinished`` says that the reply ended within it."""

    answer: str
    reasoning: str = ""
    unfinished: bool = False


def without_reasoning(text: str) -> Reasoning:
    """Take the reasoning out of a text without programs in it.

    An end without a beginning takes everything before it: some servers put the beginning into the prompt.
    """
    kept: list[str] = []
    taken: list[str] = []
    position = 0
    while mark := _MARK.search(text, position):
        if mark["close"]:
            if not is_quoted(text, mark.start(), mark.end()):
                taken += [*kept, text[position : mark.start()]]
                kept = []
            else:
                kept.append(text[position : mark.end()])
            position = mark.end()
            continue
        end = end_of_reasoning(text, mark.start(), mark.end())
        if end is None:
            kept.append(text[position : mark.end()])
            position = mark.end()
            continue
        kept.append(text[position : mark.start()])
        taken.append(_CLOSE.sub("", text[mark.end() : end]))
        if end == len(text) and not _CLOSE.search(text, mark.end()):
            return Reasoning("".join(kept), "".join(taken), unfinished=True)
        position = end
    return Reasoning("".join([*kept, text[position:]]), "".join(taken))


def end_of_reasoning(text: str, start: int, begin: int) -> int | None:
    """Return where the reasoning ends whose mark is from ``start`` to ``begin``; None if it is only a mark's name.

    The end is behind the closing mark, or the text's where that is missing.
    """
    if close := _CLOSE.search(text, begin):
        return None if is_quoted(text, start, begin) else close.end()
    # Without an end it is reasoning only where a line begins: prose may name the mark.
    line = text[text.rfind("\n", 0, start) + 1 : start]
    return None if line.strip() else len(text)


def is_quoted(text: str, start: int, end: int) -> bool:
    """Return whether a mark stands in quotes, as where prose names it."""
    return text[max(0, start - 1) : start] in tuple(_QUOTES) and text[end : end + 1] in tuple(_QUOTES)
