"""The data image against native NumPy and pandas of the same versions: values, types and errors."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloche import Image, Sandbox, Session

HERE = Path(__file__).parent
EXPECTED: dict[str, str] = json.loads((HERE / "expected.json").read_text("utf-8"))
# Of these the image gives another answer, for the reason that stands beside it.
DIFFER = {
    "pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']}).to_html(), pd.DataFrame({'a': [1]}).style": "the image has jinja2",
}


@pytest.fixture(scope="module")
def session(image: Image) -> Iterator[Session]:
    with Sandbox(image=image).session() as session:
        session.run((HERE / "evaluate.py").read_text("utf-8").partition("if __name__")[0]).unwrap()
        yield session


def test_expressions_give_what_they_give_natively(image: Image, session: Session) -> None:
    lines = [line for line in EXPECTED if "pd." not in line or "pandas" in image.modules]
    session.set("lines_of_host", lines)
    got = session.run("{line: evaluate(line) for line in lines_of_host}").unwrap()
    differ = {line: (EXPECTED[line], got[line]) for line in lines if got[line] != EXPECTED[line]}
    assert {line: pair for line, pair in differ.items() if line not in DIFFER} == {}
    assert len(lines) > 90


def test_each_isolate_has_numbers_of_its_own(image: Image) -> None:
    sandbox = Sandbox(image=image)
    program = "import numpy as np\n[np.random.rand(), np.random.default_rng().random()]"
    first, second = (sandbox.run(program).unwrap() for _ in range(2))
    assert first[0] != second[0]
    assert first[1] != second[1]
    seeded = "import numpy as np\nnp.random.seed(3)\nnp.random.rand()"
    assert sandbox.run(seeded).unwrap() == sandbox.run(seeded).unwrap()


def test_a_seeded_sandbox_repeats_them(image: Image) -> None:
    program = "import numpy as np\nnp.random.rand()"
    assert Sandbox(image=image, seed=5).run(program).unwrap() == Sandbox(image=image, seed=5).run(program).unwrap()


def test_a_fork_draws_other_numbers_unless_its_program_chose_them(image: Image) -> None:
    draw = "__import__('numpy').random.rand()"
    with Sandbox(image=image).session() as session:
        session.run("1")
        with session.fork() as fork:
            assert fork.run(draw).unwrap() != session.run(draw).unwrap()
        session.run("__import__('numpy').random.seed(1)")
        with session.fork() as fork:
            assert fork.run(draw).unwrap() == session.run(draw).unwrap()


def test_limits_end_what_computes_in_c(image: Image) -> None:
    sandbox = Sandbox(image=image)
    loop = "import numpy as np\na = np.ones((600, 600))\nfor _ in range(10**6): a = a @ a"
    assert type(sandbox.run(loop, limits=image.limits.replace(fuel=500_000_000)).error).__name__ == "FuelExhausted"
    # Within 2 GiB it is memory that is not there, beyond that a size that no array can have.
    assert "Unable to allocate" in str(sandbox.run("import numpy as np\nnp.ones(2 * 10**8)").error)
    assert "too big" in str(sandbox.run("import numpy as np\nnp.ones(10**9)").error)
    assert "Maximum allowed dimension" in str(sandbox.run("import numpy as np\nnp.zeros(2**40)").error)


def test_errors_of_cpp_end_in_python(image: Image) -> None:
    program = "import numpy as np\ntry: np.fft.fft(np.ones(2**27))\nexcept MemoryError: done = True\ndone"
    assert Sandbox(image=image).run(program).unwrap() is True


def test_arrays_cross_in_both_directions(session: Session) -> None:
    session.run("import numpy as np\na = np.arange(6.0).reshape(2, 3)")
    value = session.get("a")
    assert (value if isinstance(value, list) else value.tolist()) == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
