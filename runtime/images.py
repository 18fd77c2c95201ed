"""Images as their users know them: folders with a guest module, its manifest and licences, by name or by place."""

import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from cloche.runtime._files import PART, sync_folder
from cloche.runtime.bridge.environment import Environment, parse_clock, parse_seed
from cloche.runtime.bridge.protocol import NOTHING, Op, is_dict, request
from cloche.runtime.dispatch import as_dispatcher
from cloche.runtime.errors import ConfigurationError, ImageError, ImageNotFound
from cloche.runtime.limits import Limits
from cloche.runtime.machine_api import StopSignal
from cloche.runtime.result import Result
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.session.session import Session
from cloche.runtime.wasm import module_file
from cloche.runtime.wasm.image import DEFAULT_IMAGE, GuestImage, read_manifest
from cloche.runtime.wasm.machine import ImageSource

__all__ = ["CORE", "Image", "images_home", "where_is"]

CORE = "core"
"""The name of the image that Cloche is shipped with."""
_SHIPPED_IN = Path(DEFAULT_IMAGE).parent
_MODULE, _MANIFEST, _LICENCES = Path(DEFAULT_IMAGE).name, "cloche.json", "licenses"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LICENCE = re.compile(r"licenses/[A-Za-z0-9][A-Za-z0-9._+ -]{0,100}\.txt")
# Of an image that is imported: the manifest and licences together, and the module, in bytes.
_MAX_TEXT, _MAX_MODULE = 64 << 20, 2 << 30


def images_home() -> Path:
    """Return the folder of this user's images: ``$CLOCHE_IMAGES``, else the system's place for a program's data."""
    chosen = os.environ.get("CLOCHE_IMAGES")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "cloche" / "images"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "cloche" / "images"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "cloche" / "images"


class Image:
    """A guest image: what a fresh interpreter has in its memory, its files and the modules that it has imported.

    ``Image("data")`` is the image of that name, from :func:`images_home` or from those that came with Cloche, and
    ``Image("core")`` the one that sandboxes have by default; a path is that of an image's folder. A value: it is never
    changed, and one that is built anew under the same name has another ``digest``.

    Raises ImageNotFound if there is none, ImageError where its manifest is missing or damaged.
    """

    _SHIPPED: ClassVar[Path] = _SHIPPED_IN

    def __init__(self, name: "str | os.PathLike[str]") -> None:
        self.path = _folder_of(name)
        self.manifest = read_manifest(self.path / _MODULE)
        self.name = str(self.manifest.get("name", CORE if self.path == self._SHIPPED else self.path.name))

    @classmethod
    def of(cls, image: "Image | str | os.PathLike[str]") -> "Image":
        """Return the image itself, or the one of that name or path."""
        return image if isinstance(image, Image) else cls(image)

    @classmethod
    def all(cls) -> "list[Image]":
        """Return the images that sandboxes can have by name, sorted by it. Folders that hold none are passed over."""
        return [cls(name) for name in _names()]

    @classmethod
    def build(
        cls,
        name: str,
        packages: Iterable[str] = (),
        *,
        imports: Iterable[str] | None = None,
        setup: str = "",
        base: "Image | str | os.PathLike[str]" = CORE,
        limits: Limits | None = None,
        without_compiled: Iterable[str] = (),
        pip_options: Sequence[str] = (),
        on_progress: Callable[[str], None] | None = None,
    ) -> "Image":
        """Build an image on top of another, keep it in :func:`images_home`, and return it.

        ``packages``          requirements as pip takes them (``"tabulate"``, ``"sympy==1.14"``, a path to a wheel); pip
                              finds them and what they need. Only pure Python is taken, or what ``base`` has already.
        ``imports``           modules to have imported; default: the top modules of ``packages``.
        ``setup``             a program that is run last; the names it defines are there in each new isolate.
        ``base``              the image that is built upon.
        ``limits``            what runs have by default in sandboxes of the image; default: those of the base.
        ``without_compiled``  packages that also work without the compiled modules in their wheels.
        ``pip_options``       for pip, such as ``["--no-index", "--find-links", "wheels"]``.
        ``on_progress``       is called with a line of text whenever a part is done.

        Packages' code runs only inside a guest, with limits and without tools. The same wheels, set-up and base give
        the same bytes. An image of that name is replaced once the new one is complete, and not before.

        Raises PackageRefused where a package is not pure, ImageError where pip finds none, an import or the set-up
        fails, ConfigurationError for a name that cannot be.
        """
        from cloche.runtime.packages import resolve

        target = cls.of(base)
        tell = on_progress or _say_nothing
        with _new_folder(name) as folder:
            found = resolve(packages, _python_packages(target), without_compiled, pip_options, tell)
            wanted = found.top_modules if imports is None else list(imports)
            cls.assemble(folder, name, target, found.files, wanted, setup, limits, found.facts, found.licences, tell)
        return cls(name)

    @classmethod
    def assemble(
        cls,
        folder: Path,
        name: str,
        base: "Image",
        files: Mapping[str, bytes],
        imports: Sequence[str] = (),
        setup: str = "",
        limits: Limits | None = None,
        packages: Sequence[Mapping[str, str]] = (),
        licences: Mapping[str, str] | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        """Write an image to a folder, these files on top of ``base``: for builders that have no use for pip.

        ``packages`` and ``licences``, texts by package, are added to those of the base. Raises like :meth:`build`.
        """
        module = _bake(base.guest, files, imports, setup, on_progress or _say_nothing)
        manifest = base.manifest | {
            "name": name,
            "sha256": hashlib.sha256(module).hexdigest(),
            "size": len(module),
            "packages": [*base.packages, *map(dict, packages)],
            "base": {"name": base.name, "sha256": base.digest},
            "modules": [*base.modules, *(each for each in imports if each not in base.modules)],
        }
        if limits is not None:
            manifest["limits"] = _changes(limits)
        _write(folder, module, manifest, {**_licences(base.path), **(licences or {})})

    @classmethod
    def load_file(cls, path: "str | os.PathLike[str]", name: str | None = None) -> "Image":
        """Take an image that :meth:`export` wrote into :func:`images_home`, under its own or another name.

        Raises ImageError for a file that is none, or not all of it; nothing is kept then.
        """
        try:
            with tarfile.open(path) as archive:
                module, manifest, licences = _unpacked(archive)
        except (tarfile.TarError, EOFError) as error:
            raise ImageError(f"{os.fspath(path)} is not a whole exported image: {error}") from None
        called = str(manifest.get("name", "")) if name is None else name
        with _new_folder(called) as folder:
            _write(folder, module, manifest | {"name": called}, licences)
            Image(folder).verify()
        return cls(called)

    def export(self, path: "str | os.PathLike[str]") -> None:
        """Write the image to one file, a tar archive: compressed if its name ends in .gz. Equal images, equal bytes.

        Raises OSError.
        """
        import gzip

        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for file in self._own_files():
                entry = tarfile.TarInfo(file.relative_to(self.path).as_posix())
                entry.size = file.stat().st_size
                with open(file, "rb") as source:
                    archive.addfile(entry, source)
        data = content.getvalue()
        packed = gzip.compress(data, 6, mtime=0) if str(path).endswith(".gz") else data
        part = Path(f"{os.fspath(path)}{PART}")
        part.write_bytes(packed)
        part.replace(path)

    def verify(self) -> None:
        """Raise ImageError unless the module is the one of the manifest, takes only the bridge from the host, and the
        licence of each package lies beside it."""
        module = (self.path / _MODULE).read_bytes()
        if hashlib.sha256(module).hexdigest() != self.digest:
            raise ImageError(f"the image {self.name} is damaged: its module does not have the SHA-256 of its manifest")
        strange = {where for where, _ in module_file.imports(module)} - {"cloche"}
        if strange:
            raise ImageError(
                f"the image {self.name} imports from {', '.join(sorted(strange))}, which is not the bridge"
            )
        missing = [
            each["name"] for each in self.packages if not (self.path / _LICENCES / f"{each['name']}.txt").exists()
        ]
        if missing:
            raise ImageError(f"the image {self.name} lacks the licences of {', '.join(missing)}")

    def remove(self) -> None:
        """Delete the image's folder. Raises ImageError for one that came with Cloche. Open sandboxes are unaffected."""
        if self.path.parent != images_home():
            raise ImageError(f"the image {self.name} is not among this user's images in {images_home()}")
        gone = self.path.with_name(f".{self.name}{PART}")
        shutil.rmtree(gone, ignore_errors=True)
        self.path.rename(gone)
        shutil.rmtree(gone)

    @property
    def digest(self) -> str:
        """The SHA-256 of the module, in hexadecimal: what snapshots know an image by."""
        return str(self.manifest["sha256"])

    @property
    def size(self) -> int:
        """Bytes of the module."""
        return int(self.manifest["size"])

    @property
    def base(self) -> str | None:
        """The name of the image it was built on; None of one that the recipe made."""
        base = self.manifest.get("base")
        return None if base is None else str(base["name"])

    @property
    def packages(self) -> list[dict[str, str]]:
        """The works inside: ``name``, ``version``, ``licence``, ``url``; of wheels also ``file`` and ``sha256``."""
        return list(self.manifest.get("packages", []))

    @property
    def modules(self) -> list[str]:
        """Modules, beside the standard library's, that a fresh isolate has imported."""
        return list(self.manifest.get("modules", []))

    @cached_property
    def limits(self) -> Limits:
        """The limits that suit it: what a run has in a sandbox that is given no others."""
        return Limits(**self.manifest.get("limits", {}))

    @cached_property
    def guest(self) -> GuestImage:
        """What makes guests of it, for the layers below."""
        return GuestImage.load(self.path / _MODULE)

    def _own_files(self) -> list[Path]:
        return [self.path / _MODULE, self.path / _MANIFEST, *sorted((self.path / _LICENCES).glob("*.txt"))]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and (self.path, self.digest) == (other.path, other.digest)

    def __hash__(self) -> int:
        return hash((self.path, self.digest))

    def __repr__(self) -> str:
        return f"<Image {self.name} {self.digest[:12]}>"


def where_is(digest: str) -> str:
    """Return how to have the image of this digest, in words: by its name, or that it is not on this machine."""
    name = next((image.name for image in Image.all() if image.digest == digest), None)
    short = digest[:12]
    return f"{short}, which is not on this machine" if name is None else f"{short}, which is Sandbox(image={name!r})"


def _say_nothing(text: str) -> None:
    pass


def _changes(limits: Limits) -> dict[str, Any]:
    """Return what differs from the default limits."""
    default = Limits()
    names = limits.__slots__
    return {name: getattr(limits, name) for name in names if getattr(limits, name) != getattr(default, name)}


def _folder_of(name: "str | os.PathLike[str]") -> Path:
    if isinstance(name, str) and _NAME.fullmatch(name):
        for folder in _places(name):
            if (folder / _MANIFEST).exists():
                return folder
        raise ImageNotFound(name, tuple(_names()))
    path = Path(name)
    folder = path.parent if path.name == _MODULE else path
    if not (folder / _MODULE).exists():
        raise ImageNotFound(str(path), tuple(_names()))
    return folder


def _places(name: str) -> list[Path]:
    return [_SHIPPED_IN] if name == CORE else [home / name for home in _homes()]


def _homes() -> list[Path]:
    """The folders of images by name: this user's, what came with Cloche, and what ``cloche-data`` brought along."""
    # Where images are looked for by name, and nowhere else: a new process has no need of it.
    from importlib.util import find_spec

    spec = find_spec("cloche_data")
    added = [] if spec is None or spec.origin is None else [Path(spec.origin).parent / "images"]
    return [images_home(), _SHIPPED_IN, *added]


def _names() -> list[str]:
    found = {path.parent.name for home in _homes() for path in home.glob(f"*/{_MANIFEST}")}
    core = [CORE] if (_SHIPPED_IN / _MANIFEST).exists() else []
    return core + sorted(name for name in found if _NAME.fullmatch(name) and name != CORE)


def _python_packages(image: Image) -> dict[str, str]:
    return {each["name"]: each["version"] for each in image.packages if each.get("index") == "python"}


@contextmanager
def _new_folder(name: str) -> Generator[Path]:
    """Give a new folder, which becomes the image of that name once all went well, and is gone if not."""
    if not _NAME.fullmatch(name) or name == CORE:
        how = "small letters, digits, dots, dashes and underscores, beginning with a letter or digit, and not 'core'"
        raise ConfigurationError("name", f"{name!r:.80} is not a name for an image: write {how}")
    home = images_home()
    home.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{name}-", suffix=PART, dir=home))
    try:
        yield part
        old, target = part.with_suffix(".old"), home / name
        if target.exists():
            target.rename(old)
        part.chmod(0o755)
        part.rename(target)
        sync_folder(home)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _write(folder: Path, module: bytes, manifest: Mapping[str, Any], licences: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _LICENCES).mkdir(exist_ok=True)
    for name, text in licences.items():
        (folder / _LICENCES / f"{name}.txt").write_text(text, "utf-8")
    (folder / _MODULE).write_bytes(module)
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


def _licences(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in sorted((folder / _LICENCES).glob("*.txt"))}


def _unpacked(archive: tarfile.TarFile) -> tuple[bytes, dict[str, Any], dict[str, str]]:
    """Return module, manifest and licences of an exported image. Raises ImageError; nothing is written anywhere."""
    content: dict[str, bytes] = {}
    left = {True: _MAX_MODULE, False: _MAX_TEXT}
    try:
        for entry in archive:
            is_module = entry.name == _MODULE
            if not entry.isreg() or not (is_module or entry.name == _MANIFEST or _LICENCE.fullmatch(entry.name)):
                raise ImageError(f"an exported image has no {entry.name[:100]!r}")
            left[is_module] -= entry.size
            if left[is_module] < 0:
                raise ImageError(f"{entry.name} is larger than an image's can be")
            file = archive.extractfile(entry)
            content[entry.name] = b"" if file is None else file.read()
        manifest: Any = json.loads(content[_MANIFEST])
        module = content[_MODULE]
        if not is_dict(manifest):
            raise ValueError("its manifest is no object")
    except (KeyError, ValueError) as error:
        raise ImageError(f"it is not a whole exported image: {error}") from None
    texts = {
        Path(name).stem: data.decode("utf-8", "replace") for name, data in content.items() if _LICENCE.fullmatch(name)
    }
    return module, manifest, texts


# ---- baking ----
#
# The guest does all of it by itself, with limits and without tools: code of packages that no one has read runs where
# programs of models do.

_BAKING = Limits(
    fuel=20_000_000_000_000, time=1_800, memory="3 GiB", output="4 MiB", host_memory="512 MiB", file_bytes="1 GiB"
)
"""What baking may take: much, as compiling a large package to bytecode takes minutes, and bounded."""
# Time stands still at this second while an image is made, and chance is none: the same inputs give the same image.
_CLOCK = 1_000_000_000
_SEED = 0
# Bytes of files that are sent at once.
_PIECE = 1 << 20
# Characters of what a program printed that are shown when it failed.
_SHOWN = 2_000


def _bake(
    base: GuestImage, files: Mapping[str, bytes], imports: Sequence[str], setup: str, tell: Callable[[str], None]
) -> bytes:
    """Return the module of the new image. ``files`` are placed where packages lie, by their paths there.

    Raises ImageError with the guest's traceback where a file exists already, an import or the set-up fails.
    """
    source = ImageSource(base)
    guest = SessionGuest(
        source, as_dispatcher(None), Environment(parse_seed(_SEED), parse_clock(_CLOCK)), _BAKING.memory, keeps=False
    )
    with Session(guest, _BAKING) as session:
        done = 0
        for piece in _pieces(files):
            done += len(piece)
            session.set("cloche_files", piece)
            _checked(session.run("__import__('cloche_guest.baking').baking.place(cloche_files)"), "placing its files")
            tell(f"placed and compiled {done} of {len(files)} files")
        session.set("cloche_files", list(imports))
        run = "__import__('cloche_guest.baking').baking.import_modules(cloche_files)"
        _checked(session.run(run), f"importing {', '.join(imports)}")
        _checked(session.run("del cloche_files"), "tidying up")
        tell(f"imported {', '.join(imports)}" if imports else "nothing to import")
        if setup:
            _checked(session.run(setup), "the set-up")
            tell("ran the set-up")
        return _settled(guest, base)


def _pieces(files: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    piece: dict[str, bytes] = {}
    size = 0
    for name, data in sorted(files.items()):
        if piece and size + len(data) > _PIECE:
            yield piece
            piece, size = {}, 0
        piece[name] = data
        size += len(data)
    if piece:
        yield piece


def _checked(result: Result[object], what: str) -> None:
    if result.error is not None:
        raise ImageError(f"{what} failed in the guest: {result.error}\n{result.stderr[-_SHOWN:]}".rstrip())


def _settled(guest: SessionGuest, base: GuestImage) -> bytes:
    """Have the guest be as before its first request, and return the module with its memory."""
    machine = guest.ready().machine
    machine.allow(_BAKING.fuel, StopSignal.within(_BAKING.time))
    if machine.step(request(Op.SETTLE)) != NOTHING:
        raise ImageError("the guest could not come to rest: is its base of the same version of Cloche?")
    return module_file.rewritten(Path(base.path).read_bytes(), bytes(machine.view()), machine.stack_pointer)
