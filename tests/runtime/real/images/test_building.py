"""Images of one's own, built from wheels made by hand. One image is compiled, for all tests that run programs in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime.wheels import make_wheel

from cloche import Image, ImageError, Sandbox, Snapshot, SnapshotMismatch

GREETING = {
    "greeting/__init__.py": "import time, random\nfrom greeting.words import WORD\n"
    "def greet(name):\n    return f'{WORD}, {name}'\n"
    "def fail():\n    raise ValueError('no')\nMADE = time.time(), random.random()\n",
    "greeting/words.py": "WORD = 'Hello'\n",
    "greeting/table.csv": "a,b\n1,2\n",
    "greeting/old.py": "print 'this is Python 2'\n",
}
SETUP = "import greeting\ntable = {n: n * n for n in range(5)}\n"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "greeting", GREETING, version="1.2")
    make_wheel(folder, "broken", {"broken.py": "import no_such_module_here\n"})
    make_wheel(folder, "calling", {"calling.py": "import socket\nsocket.create_connection(('x', 1))\n"})
    return folder


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("images")
        patch.setenv("CLOCHE_IMAGES", str(folder))
        yield folder


@pytest.fixture(scope="module")
def image(wheels: Path) -> Image:
    return build("greetings", ["greeting"], wheels, setup=SETUP)


def build(name: str, packages: list[str], wheels: Path, setup: str = "") -> Image:
    return Image.build(name, packages, setup=setup, pip_options=["--no-index", "--find-links", str(wheels)])


def test_a_fresh_isolate_has_the_package_imported(image: Image) -> None:
    sandbox = Sandbox(image=image)
    program = "import sys\nbefore = 'greeting' in sys.modules\nimport greeting\n[before, greeting.greet('Oslo')]"
    assert sandbox.run(program).unwrap() == [True, "Hello, Oslo"]
    assert image.modules == ["greeting"]
    assert [each["version"] for each in image.packages if each["name"] == "greeting"] == ["1.2"]
    image.verify()


def test_the_names_of_the_set_up_are_there(image: Image) -> None:
    assert Sandbox(image=image).run("[table[3], greeting.WORD]").unwrap() == [9, "Hello"]


def test_files_metadata_and_sources_are_there(image: Image) -> None:
    program = """
import importlib.metadata, importlib.resources, inspect, greeting, traceback
data = importlib.resources.files("greeting").joinpath("table.csv").read_text()
try: greeting.fail()
except ValueError: shown = traceback.format_exc()
[importlib.metadata.version("greeting"), data, inspect.getsource(greeting.greet), "raise ValueError('no')" in shown]
"""
    version, data, source, shown = Sandbox(image=image).run(program).unwrap()
    assert (version, data, shown) == ("1.2", "a,b\n1,2\n", True)
    assert source.startswith("def greet(name):")


def test_chance_and_time_begin_anew_in_each_isolate(image: Image) -> None:
    sandbox = Sandbox(image=image)
    program = "import random, time, greeting\n[random.random(), time.time() > 1_700_000_000, list(greeting.MADE)]"
    (first, is_now, made), (second, _, made_too) = (sandbox.run(program).unwrap() for _ in range(2))
    assert first != second
    assert is_now
    assert made == made_too


def test_the_image_is_read_only_and_limits_hold(image: Image) -> None:
    sandbox = Sandbox(image=image)
    error = sandbox.run("open('/lib/site-packages/greeting/words.py', 'w')").error
    assert "Read-only" in str(error)
    assert sandbox.run("open('/lib/site-packages/x', 'w')").error is not None
    program = "for n in range(10): open(f'/work/{n}', 'w').close()"
    assert "No space left" in str(sandbox.run(program, limits=image.limits.replace(files=5)).error)


def test_a_snapshot_says_which_image_it_needs(image: Image) -> None:
    with Sandbox(image=image).session() as session:
        session.run("x = greeting.greet('you')")
        snapshot = Snapshot.from_bytes(bytes(session.snapshot()))
    with Sandbox(image="greetings").restore(snapshot) as session:
        assert session.get("x") == "Hello, you"
    with pytest.raises(SnapshotMismatch, match=r"which is Sandbox\(image='greetings'\)"):
        Sandbox().restore(snapshot)


def test_the_same_inputs_give_the_same_image(image: Image, wheels: Path) -> None:
    assert build("greetings2", ["greeting"], wheels, setup=SETUP).digest == image.digest


@pytest.mark.parametrize(
    ("package", "setup", "reason"),
    [
        ("broken", "", "No module named 'no_such_module_here'"),
        ("calling", "", "no network"),
        ("greeting", "1 / 0", "the set-up failed in the guest"),
        ("greeting", "print('seen')\nimport sys\nsys.stderr.write('why')\nraise SystemExit(3)", "why"),
    ],
)
def test_a_build_that_fails_leaves_nothing(home: Path, wheels: Path, package: str, setup: str, reason: str) -> None:
    before = sorted(home.iterdir())
    with pytest.raises(ImageError, match=reason):
        build("failing", [package], wheels, setup)
    assert sorted(home.iterdir()) == before


def test_the_old_image_stays_when_its_successor_fails(image: Image, wheels: Path) -> None:
    with pytest.raises(ImageError):
        build("greetings", ["broken"], wheels)
    assert Image("greetings").digest == image.digest
