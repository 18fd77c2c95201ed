import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runtime.wheels import make_wheel

from cloche.runtime import packages
from cloche.runtime.errors import ImageError, PackageRefused
from cloche.runtime.packages import Resolution, read_wheel, resolve

Resolve = Callable[..., Resolution]


@pytest.fixture
def found(tmp_path: Path) -> Resolve:
    """Resolves among the wheels of a folder only."""

    def resolved(*asked: str, present: dict[str, str] | None = None, without: tuple[str, ...] = ()) -> Resolution:
        options = ["--no-index", "--find-links", str(tmp_path)]
        return resolve(asked, present or {}, without, options, lambda _: None)

    return resolved


def test_a_package_comes_with_what_it_needs(tmp_path: Path, found: Resolve) -> None:
    make_wheel(tmp_path, "leaf", {"leaf.py": "x = 1\n"}, version="2.5")
    make_wheel(tmp_path, "tree", {"tree/__init__.py": "import leaf\n", "tree/data.json": "{}"}, needs=["leaf>=2"])
    got = found("tree")
    assert got.top_modules == ["tree"]
    assert [(each["name"], each["version"], each["licence"]) for each in got.facts] == [
        ("leaf", "2.5", "MIT"),
        ("tree", "1.0", "MIT"),
    ]
    assert {"leaf.py", "tree/__init__.py", "tree/data.json", "tree-1.0.dist-info/METADATA"} <= set(got.files)
    assert got.licences["leaf"] == "The licence of leaf."
    assert all(len(each["sha256"]) == 64 for each in got.facts)


def test_what_the_base_has_is_not_taken_again(tmp_path: Path, found: Resolve) -> None:
    make_wheel(tmp_path, "big", {"big.py": ""}, version="1.0")
    make_wheel(tmp_path, "big", {"big.py": ""}, version="2.0")
    make_wheel(tmp_path, "small", {"small.py": "import big\n"}, needs=["big"])
    assert [each["name"] for each in found("small", present={"big": "1.0"}).facts] == ["small"]
    assert [each["version"] for each in found("small").facts] == ["2.0", "1.0"]


def test_a_compiled_package_is_refused_by_name_and_reason(tmp_path: Path, found: Resolve) -> None:
    make_wheel(tmp_path, "fast", {"fast.so": b"\x7fELF"}, tag="cp313-cp313-manylinux2014_x86_64")
    with pytest.raises(PackageRefused, match=r"fast 1\.0 .* compiled modules \(fast-1\.0-cp313") as error:
        found("fast")
    assert error.value.package == "fast 1.0"


def test_a_pure_wheel_is_preferred_to_one_for_a_machine(tmp_path: Path, found: Resolve) -> None:
    make_wheel(tmp_path, "both", {"both.py": "", "_both.so": b"\x7fELF"}, tag="cp313-cp313-manylinux2014_x86_64")
    make_wheel(tmp_path, "both", {"both.py": ""})
    assert found("both").facts[0]["file"] == "both-1.0-py3-none-any.whl"


def test_compiled_modules_are_left_out_where_that_is_asked_for(tmp_path: Path, found: Resolve) -> None:
    files: dict[str, str | bytes] = {"quick/__init__.py": "", "quick/_speed.cpython-313.so": b"\x7fELF"}
    make_wheel(tmp_path, "Quick", files, tag="cp313-cp313-manylinux2014_x86_64")
    assert "quick/__init__.py" in found("Quick", without=("quick",)).files
    assert not [name for name in found("Quick", without=("quick",)).files if name.endswith(".so")]


def test_a_wheel_that_says_it_is_pure_and_is_not(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "liar", {"liar.py": "", "inner/x.dylib": b""})
    with pytest.raises(PackageRefused, match=r"compiled module inner/x\.dylib"):
        read_wheel(wheel)


def test_what_pip_does_not_find_is_said_in_its_words(found: Resolve) -> None:
    with pytest.raises(ImageError, match="No matching distribution found for no-such-package"):
        found("no-such-package")


def test_tests_scripts_and_bytecode_are_left_out(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "p/__init__.py": "",
        "p/tests/test_x.py": "",
        "p/__pycache__/x.pyc": b"",
        "p/x.pyi": "",
        "p-1.0.data/scripts/run": "",
        "p-1.0.data/purelib/p/more.py": "",
    }
    names = {name for name in read_wheel(make_wheel(tmp_path, "p", files)).files if not name.startswith("p-1.0.dist")}
    assert names == {"p/__init__.py", "p/more.py"}


@pytest.mark.parametrize("name", ["../x.py", "/x.py", "a/../../x.py", "a//b.py", "a\\..\\b.py", "./x.py"])
def test_a_wheel_with_an_impossible_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PackageRefused, match="impossible name"):
        read_wheel(make_wheel(tmp_path, "bad", {"bad.py": "", name: ""}))


def test_a_wheel_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_MAX_BYTES", 1_000)
    path = tmp_path / "bomb-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.py", b"#" * 100_000)
    with pytest.raises(PackageRefused, match="larger than 1000 bytes"):
        read_wheel(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_wheel_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x-1.0-py3-none-any.whl"
    path.write_bytes(content)
    with pytest.raises(PackageRefused):
        read_wheel(path)


def test_two_packages_with_one_file_are_refused(tmp_path: Path, found: Resolve) -> None:
    make_wheel(tmp_path, "one", {"same.py": "1"})
    make_wheel(tmp_path, "two", {"same.py": "2"}, needs=["one"])
    with pytest.raises(PackageRefused, match=r"another package has the file same\.py"):
        found("two")
