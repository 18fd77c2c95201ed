"""What is shipped: the sdist, the wheel that is made from it, and the wheel in a clean environment."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from recipe import host

ROOT = Path(__file__).parents[3]
IMAGE = ROOT / "runtime" / "image"
# The top-level folders, and where each one is inside the installed package.
PLACES = {
    "runtime": "cloche/runtime",
    "host_tools": "cloche/host_tools",
    "agent": "cloche/agent",
    "cli": "cloche/cli",
    "bench": "cloche/bench",
    "integrations": "cloche/integrations",
    "serve": "cloche/serve",
    "src/cloche": "cloche",
}
LINKS = {
    *(f"src/cloche/{folder}" for folder in PLACES if folder != "src/cloche"),
    "src/cloche_guest",
    "guest/prelude/values",
}
LICENCES = ["LICENSE", "NOTICE"]
NEVER_IMPORTED = {"typing", "rich", "litellm", "httpx", "pydantic", "wasmtime", "msgpack", "asyncio", "ctypes"}

Files = set[str]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel made from it, with the build tools of this environment: no network."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT], cwd=folder)
    return folder


@pytest.fixture(scope="module")
def sdist(dist: Path) -> tarfile.TarFile:
    (path,) = dist.glob("cloche-*.tar.gz")
    return tarfile.open(path)


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("cloche-*.whl")
    return path


def run(command: list[str | Path], cwd: Path, stdin: str = "") -> str:
    """Run a command that has to succeed, away from the checkout, and return what it printed."""
    done = subprocess.run(
        command, cwd=cwd, env=_environment(), input=stdin, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _environment() -> dict[str, str]:
    """Return this process's environment, without the way to the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def repository() -> Files:
    """Return the files of this checkout, without the links between its folders; skips where there is no git."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    return {name for name in listed.splitlines() if (ROOT / name).is_file() and not (ROOT / name).is_symlink()}


def image() -> Files:
    """Return the image's files, which git does not know."""
    names = {"runtime/image/cloche.wasm", "runtime/image/cloche.json"}
    return names | {path.relative_to(ROOT).as_posix() for path in (IMAGE / "licenses").iterdir()}


def installed(source: str) -> str | None:
    """Return where a file of the repository is in the wheel, or None if it is not part of the package."""
    for folder, place in PLACES.items():
        if source.startswith(f"{folder}/"):
            return place + source.removeprefix(folder)
    return None


def test_the_sdist_is_the_repository_and_the_image(sdist: tarfile.TarFile) -> None:
    members = sdist.getmembers()
    names = {member.name.partition("/")[2] for member in members}
    assert names == repository() | image() | {"PKG-INFO"}
    assert [member.name for member in members if not member.isfile()] == []


def test_the_wheel_is_the_package_and_the_image(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    (info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
    expected = {place for source in repository() | image() if (place := installed(source))}
    expected |= {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    expected |= {f"{info}/licenses/{name}" for name in LICENCES}
    expected |= {f"{info}/licenses/{name}" for name in image() if "/licenses/" in name}
    assert set(names) == expected


def test_the_wheel_holds_nothing_of_tests_guest_or_build(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"cloche"}
    assert [name for name in names if "cloche_guest" in name or "/tests/" in name or "__pycache__" in name] == []
    for needed in ("cloche/py.typed", "cloche/runtime/image/cloche.wasm", "cloche/host_tools/__init__.py"):
        assert needed in names


def test_the_wheel_is_for_every_platform(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_shipped_image_is_the_built_one(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("cloche/runtime/image/cloche.wasm") == (IMAGE / "cloche.wasm").read_bytes()


def test_links_of_the_repository_are_relative() -> None:
    for link in LINKS:
        path = ROOT / link
        if path.is_symlink():  # Windows may have checked out a file in its place
            assert not path.readlink().is_absolute()
            assert path.resolve().is_dir()


@pytest.mark.network
def test_the_wheels_work_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    run([sys.executable, "-m", "venv", "clean"], cwd=tmp_path)
    programs = tmp_path / "clean" / ("Scripts" if sys.platform == "win32" else "bin")
    python = programs / "python"
    install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*install, wheel], cwd=tmp_path)

    heavy = f"import sys, cloche; print(sorted({NEVER_IMPORTED!r} & set(sys.modules)), cloche.__file__)"
    loaded = run([python, "-W", "error", "-c", heavy], cwd=tmp_path)
    assert loaded.startswith("[] ")
    assert str(tmp_path) in loaded

    facts = json.loads(run([programs / "cloche", "info", "--json"], cwd=tmp_path))
    assert facts["versions"]["cloche"] in wheel.name
    assert facts["versions"]["host"] == "Python"
    assert facts["image"]["matches manifest"] == "yes"
    assert "Apache" in run([programs / "cloche", "info", "--licenses"], cwd=tmp_path)
    assert "cloche[cli]" in _stderr([programs / "cloche", "demo"], tmp_path)
    _use(programs, tmp_path)

    # This machine's own wheel in its place, as the index would give it, and nothing left of the first one.
    own = host.platform_wheel(wheel, host.here(), tmp_path)
    run([*install, "--no-deps", "--no-index", "--force-reinstall", own], cwd=tmp_path)
    assert json.loads(run([programs / "cloche", "info", "--json"], cwd=tmp_path))["versions"]["host"] == "C"
    _use(programs, tmp_path)
    run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "cloche"], cwd=tmp_path)
    assert [*(tmp_path / "clean").rglob("_host*")] == []


def _use(programs: Path, folder: Path) -> None:
    assert run([programs / "cloche", "run", "-"], cwd=folder, stdin="print('inside')\n6 * 7\n") == "inside\n42\n"
    tools = "from cloche import Sandbox, tool\n@tool\ndef f(n: int) -> int:\n    'Add.'\n    return n + 1\n"
    (folder / "program.py").write_text(f"{tools}print(Sandbox(tools=[f]).run('f(1)').unwrap())\n")
    assert run([programs / "python", "-W", "error", "program.py"], cwd=folder) == "2\n"


def _stderr(command: list[str | Path], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=_environment(), capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 2
    return done.stderr
