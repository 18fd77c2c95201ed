import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from cloche.runtime.errors import ConfigurationError, ImageError, ImageNotFound
from cloche.runtime.images import Image, images_home, where_is
from cloche.runtime.limits import Limits

MODULE = bytes(wat2wasm('(module (import "cloche" "clock" (func)))'))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOCHE_IMAGES", str(tmp_path / "images"))
    return tmp_path / "images"


def place(home: Path, name: str, module: bytes = MODULE, **more: object) -> Path:
    """Write an image's folder, as a build leaves it."""
    folder = home / name
    (folder / "licenses").mkdir(parents=True)
    package = {"name": "thing", "version": "1", "licence": "MIT", "url": ""}
    facts = {"name": name, "sha256": hashlib.sha256(module).hexdigest(), "size": len(module), "packages": [package]}
    (folder / "cloche.wasm").write_bytes(module)
    (folder / "cloche.json").write_text(json.dumps(facts | more))
    (folder / "licenses" / "thing.txt").write_text("do as you like")
    return folder


def test_an_image_is_had_by_its_name_and_by_its_folder(home: Path) -> None:
    folder = place(home, "mine", modules=["thing"], base={"name": "core", "sha256": "0"})
    image = Image("mine")
    assert image == Image(folder) == Image(folder / "cloche.wasm") == Image.of(image)
    assert (image.name, image.base, image.modules, image.size) == ("mine", "core", ["thing"], len(MODULE))
    assert image.packages[0]["licence"] == "MIT"
    assert "mine" in [each.name for each in Image.all()]


def test_one_that_is_not_there_is_named_with_those_that_are(home: Path) -> None:
    place(home, "mine")
    with pytest.raises(ImageNotFound, match=r"no image 'data2' here \(there are .*mine\)") as error:
        Image("data2")
    assert error.value.name == "data2"
    assert "mine" in error.value.known
    with pytest.raises(ImageNotFound):
        Image(home / "elsewhere")


def test_limits_are_those_of_the_manifest(home: Path) -> None:
    place(home, "large", limits={"fuel": 30_000_000_000, "time": 30.0, "memory": 512 << 20})
    place(home, "small")
    assert Image("large").limits == Limits(fuel=30_000_000_000, time=30.0, memory="512 MiB")
    assert Image("small").limits == Limits()


def test_a_damaged_image_is_found_out(home: Path) -> None:
    folder = place(home, "mine")
    Image("mine").verify()
    (folder / "cloche.wasm").write_bytes(MODULE + b"\0")
    with pytest.raises(ImageError, match="damaged"):
        Image("mine").verify()


def test_an_image_with_another_door_is_found_out(home: Path) -> None:
    place(home, "open", bytes(wat2wasm('(module (import "wasi" "open" (func)))')))
    with pytest.raises(ImageError, match="imports from wasi"):
        Image("open").verify()


def test_a_missing_licence_is_found_out(home: Path) -> None:
    (place(home, "mine") / "licenses" / "thing.txt").unlink()
    with pytest.raises(ImageError, match="licences of thing"):
        Image("mine").verify()


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_an_exported_image_is_imported_again(home: Path, tmp_path: Path, suffix: str) -> None:
    place(home, "mine")
    file = tmp_path / f"out.{suffix}"
    Image("mine").export(file)
    first = file.read_bytes()
    Image("mine").export(file)
    assert file.read_bytes() == first
    digest = Image("mine").digest
    Image("mine").remove()
    with pytest.raises(ImageNotFound):
        Image("mine")
    image = Image.load_file(file, "again")
    assert (image.name, image.digest) == ("again", digest)
    assert Image.load_file(file).name == "mine"


def archive(**files: bytes) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/").replace("_up_", ".."))
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


GOOD = json.dumps({"name": "x", "sha256": hashlib.sha256(MODULE).hexdigest(), "size": len(MODULE)}).encode()
HOSTILE = {
    "nothing": b"",
    "no archive": b"PK" + bytes(600),
    "no module": archive(**{"cloche.json": GOOD}),
    "no manifest": archive(**{"cloche.wasm": MODULE}),
    "a manifest of another module": archive(**{"cloche.json": GOOD, "cloche.wasm": MODULE + b"\0"}),
    "a manifest that is no dict": archive(**{"cloche.json": b"[]", "cloche.wasm": MODULE}),
    "a file of elsewhere": archive(**{"cloche.json": GOOD, "cloche.wasm": MODULE, "_up___x": b""}),
    "a licence of elsewhere": archive(**{"cloche.json": GOOD, "cloche.wasm": MODULE, "licenses___up___x.txt": b""}),
    "cut off": archive(**{"cloche.json": GOOD, "cloche.wasm": MODULE})[:1_500],
    "a name that cannot be": archive(
        **{"cloche.json": GOOD.replace(b'"x"', b'"../x"'), "cloche.wasm": MODULE},
    ),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_whole_image_is_not_imported(home: Path, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.tar"
    file.write_bytes(content)
    with pytest.raises((ImageError, ConfigurationError)):
        Image.load_file(file)
    assert not list(home.glob("*")) if home.exists() else True
    assert [path.name for path in tmp_path.iterdir() if path != home] == ["bad.tar"]


@pytest.mark.parametrize("name", ["core", "", "../x", "A", ".hidden", "x" * 80, "a b"])
def test_a_name_that_cannot_be(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        Image.build(name)


def test_an_image_that_came_with_cloche_is_not_removed() -> None:
    with pytest.raises(ImageError, match="not among this user's images"):
        Image("core").remove()


def test_where_an_image_is(home: Path) -> None:
    place(home, "mine")
    assert where_is(Image("mine").digest).endswith("which is Sandbox(image='mine')")
    assert where_is("f" * 64) == "ffffffffffff, which is not on this machine"


def test_images_lie_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert images_home() == tmp_path / "images"
    monkeypatch.delenv("CLOCHE_IMAGES")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert tmp_path in images_home().parents or not images_home().is_relative_to("/home")
