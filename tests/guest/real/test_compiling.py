"""What compiling costs: in proportion to the text, in fuel, whatever the text is made of."""

import pytest

from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

PLENTY = Limits(fuel=100_000_000_000, time=100)
TEXTS = {
    "assignments": "'\\n'.join(f'x{i} = {i}' for i in range(n))",
    "rows": "'rows = [' + ','.join(f'dict(i={i}, name=\"n{i}\", v={i}.5)\\n' for i in range(n)) + ']'",
    "functions": "''.join(f'def f{i}(a, b=1):\\n    return a + b * {i}\\n' for i in range(n // 3))",
    "long text": "'x = \"\"\"' + '1,2,3,4,5,6\\n' * n + '\"\"\"'",
    "f-string": "'f\"\"\"' + '{x:>3} {y!r} {z=}\\n' * (n // 4) + '\"\"\"'",
    "lines with fields": "'\\n'.join(f'print(f\"{{x{i}}} and {{y{i}!r:>10}}\")' for i in range(n // 4))",
    "comments": "'# what is not read\\n' * n",
    "one line": "';'.join(['x=1'] * n)",
}


def _fuel(text: str, n: int, call: str = "compile(text, 'x', 'exec')") -> int:
    with Sandbox(limits=PLENTY).session() as session:
        session.run(f"n = {n}\ntext = {text}").unwrap()
        result = session.run(f"done = {call}")
        result.unwrap()
        fuel = result.usage.fuel
        assert fuel is not None
        return fuel


@pytest.mark.parametrize("name", TEXTS)
def test_four_times_the_text_is_less_than_five_times_the_fuel(name: str) -> None:
    assert _fuel(TEXTS[name], 8_000) < 5 * _fuel(TEXTS[name], 2_000)


def test_parsing_and_splitting_into_tokens_are_linear_too() -> None:
    for call in ("ast.parse(text)", "list(tokenize.generate_tokens(io.StringIO(text).readline))"):
        modules = f"[ast := __import__('ast'), io := __import__('io'), tokenize := __import__('tokenize'), {call}]"
        assert _fuel(TEXTS["lines with fields"], 4_000, modules) < 5 * _fuel(TEXTS["lines with fields"], 1_000, modules)


FIELDS = r"""
import ast
def field(text):
    return [part.value for part in ast.parse(text).body[0].value.values if isinstance(part, ast.Constant)]
"""


@pytest.mark.parametrize(
    ("text", "wanted"),
    {
        "f'{x = }'": ["x = "],
        "f'{x=!r:>{w}}'": ["x="],
        "f'{a + {1: 2}[1]=}{f\"{b=}\"=}'": ["a + {1: 2}[1]=", 'f"{b=}"='],
        "f'''{x # why\n = }'''": ["x \n = "],
        "f'{\"é\"=}'": ['"é"='],
        "f'{lambda: 1:x}'": None,
    }.items(),
)
def test_the_text_of_a_field_is_kept(text: str, wanted: list[str] | None) -> None:
    with Sandbox().session() as session:
        session.run(FIELDS).unwrap()
        session.set("text", text)
        result = session.run("field(text)")
        if wanted is None:
            assert "f-string" in str(result.error)
        else:
            assert result.unwrap() == wanted


def _out_of_memory(session: Session, lines: int) -> str:
    said: str = session.run(f"""
text = 'x = 1 + 2 * 3\\n' * {lines}
try:
    code = compile(text, 'x', 'exec')
except MemoryError:
    said = 'MemoryError'
said
""").unwrap()
    return said


@pytest.mark.parametrize("lines", [1_000_000, 2_500_000, 4_000_000])
def test_a_text_too_large_for_memory_is_a_memory_error(lines: int) -> None:
    with Sandbox(limits=Limits(fuel=100_000_000_000, time=100, memory="128 MiB")).session() as session:
        assert _out_of_memory(session, lines) == "MemoryError"
        assert session.run("1 + 1").unwrap() == 2
