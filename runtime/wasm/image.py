"""The guest image: a baked WebAssembly module, checked, compiled once and shared by all machines of a process."""

import json
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from cloche.runtime.errors import ImageError
from cloche.runtime.wasm import native
from cloche.runtime.wasm.cache import CompiledCache
from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.imports import EXPORTS, IMPORTS
from cloche.runtime.wasm.instance import InstanceTemplate
from cloche.runtime.wasm.pausing import PauseFacts

if TYPE_CHECKING:
    import wasmtime

_AnyPath = str | os.PathLike[str]

__all__ = ["DEFAULT_IMAGE", "GuestImage", "check_interface", "read_manifest"]


def check_interface(module: native.Module) -> None:
    """Raise ImageError if the module imports anything but the bridge's functions, or lacks an export.

    The unchecked calls rely on it: they trust that the types are these. It is done once, before compiled code is kept.
    """
    # Here, as most processes find the image compiled.
    seen = native.to_wasmtime(module)
    for each in seen.imports:
        if each.module != "cloche" or each.name not in IMPORTS:
            raise ImageError(f"the image imports {each.module}.{each.name}, which is not part of the bridge")
        _check_function(each.name, each.type, IMPORTS[each.name])
    _check_exports(seen)


def _check_exports(module: "wasmtime.Module") -> None:
    import wasmtime

    found = {each.name: each.type for each in module.exports}
    for name, signature in EXPORTS.items():
        _check_function(name, found.get(name), signature)
    pointer, memory = found.get("__stack_pointer"), found.get("memory")
    if not isinstance(pointer, wasmtime.GlobalType) or str(pointer.content) != "i32" or not pointer.mutable:
        raise ImageError("the image does not export __stack_pointer as a mutable i32")
    if not isinstance(memory, wasmtime.MemoryType) or memory.is_64:
        raise ImageError("the image does not export a 32-bit memory")


def _check_function(name: str, found: object, signature: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    import wasmtime

    if not isinstance(found, wasmtime.FuncType):
        raise ImageError(f"the image has no function {name}")
    actual = (tuple(map(str, found.params)), tuple(map(str, found.results)))
    if actual != signature:
        raise ImageError(f"the image's function {name} is of type {actual} instead of {signature}")


DEFAULT_IMAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "image", "cloche.wasm")


class GuestImage:
    """A guest image on disk. Made with :meth:`load`; may be shared by all threads.

    ``path`` is the module and ``digest`` its SHA-256 in hexadecimal. A manifest beside it with the suffix ``.json``,
    as the bake writes it, states ``sha256`` and ``size``: then only the size is compared at start, and the bytes are
    hashed when they are compiled. Without a manifest they are hashed at once. ``caps`` are those that its interpreter
    applies from the start, if a manifest says so, and ``exceptions`` whether its code needs WebAssembly's. A manifest
    may also say which functions are ``often`` called by their addresses: the engine keeps words for each, which then
    lie side by side.
    """

    compiling: ClassVar[Callable[[str], AbstractContextManager[object]]] = nullcontext
    """Entered, with the image's path, while one is compiled: a program on a terminal may say so."""
    _images: ClassVar[dict[tuple[str, int, int], "GuestImage"]] = {}
    _images_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: _AnyPath, cache: CompiledCache | None = None) -> None:
        self.path = path = os.fspath(path)
        self._cache = cache
        self._lock = threading.Lock()
        self._templates: dict[Engine, InstanceTemplate] = {}
        manifest = _manifest(path)
        self.digest = _digest(path, manifest)
        self.caps: dict[str, int] | None = None if manifest is None else manifest.get("caps")
        self.exceptions = manifest is not None and manifest.get("exceptions") is True
        self._often: list[int] = [] if manifest is None else manifest.get("often", [])
        self._facts = manifest or {}

    @classmethod
    def load(cls, path: _AnyPath | None = None) -> "GuestImage":
        """Return the image at ``path``, by default the one shipped with Cloche; one object per file and process.

        Raises ImageError if it is missing or does not fit its manifest.
        """
        place = DEFAULT_IMAGE if path is None else os.fspath(path)
        found = _stat(place)
        key = (os.path.realpath(place), found.st_size, found.st_mtime_ns)
        with cls._images_lock:
            if key not in cls._images:
                cls._images[key] = cls(place)
            return cls._images[key]

    def module(self, engine: Engine) -> native.Module:
        """Return the compiled module: from the cache, or compiled now, which takes seconds for the shipped image."""
        return self.template(engine).module

    def template(self, engine: Engine) -> InstanceTemplate:
        """Return what makes guests of this image, loaded at the first call."""
        template = self._templates.get(engine)
        if template is not None:
            return template
        with self._lock:
            if engine not in self._templates:
                self._templates[engine] = self._load(engine)
            return self._templates[engine]

    def _load(self, engine: Engine) -> InstanceTemplate:
        cache = self._cache or CompiledCache()
        module = cache.module(engine, self.digest, lambda: self._compile_aloud(engine), self._often)
        template = InstanceTemplate(engine, module)
        template.pause_facts = PauseFacts.from_manifest(self._facts, template.min_memory)
        return template

    def _compile_aloud(self, engine: Engine) -> native.Module:
        with type(self).compiling(self.path):
            return self._compile(engine)

    def _compile(self, engine: Engine) -> native.Module:
        import hashlib

        with open(self.path, "rb") as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise ImageError(f"the guest image {self.path} does not fit its manifest: build it again with make guest")
        if engine.mode.charges:
            # Here, as most processes find the image compiled.
            from cloche.runtime.wasm.charging import charged

            content = charged(content)
        if self._often:
            from cloche.runtime.wasm.module_file import clustered

            content = clustered(content, self._often)
        try:
            module = native.compile_module(engine.handle, content)
        except native.EngineError as error:
            raise ImageError(f"the guest image {self.path} is not a module this engine can run: {error}") from None
        check_interface(module)
        return module


def read_manifest(image: _AnyPath) -> dict[str, Any]:
    """Return what the builder of an image wrote about it: ``sha256``, ``size``, ``python``, ``packages`` and more.

    Raises ImageError if the manifest is missing, damaged, or without the image's sha256 and size.
    """
    path = _manifest_path(image)
    try:
        with open(path, encoding="utf-8") as file:
            manifest: Any = json.load(file)
        if isinstance(manifest["sha256"], str) and isinstance(manifest["size"], int):
            return dict(manifest)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ImageError(f"the manifest {path} has no sha256 and size: run make guest again")


def _manifest_path(image: _AnyPath) -> str:
    return os.path.splitext(image)[0] + ".json"


def _stat(path: str) -> Any:
    try:
        return os.stat(path)
    except OSError:
        raise ImageError(f"there is no guest image at {path}: run make guest to build it") from None


def _manifest(path: str) -> dict[str, Any] | None:
    return read_manifest(path) if os.path.exists(_manifest_path(path)) else None


def _digest(path: str, manifest: dict[str, Any] | None) -> str:
    if manifest is None:
        import hashlib

        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest, size = manifest["sha256"], manifest["size"]
    if _stat(path).st_size != size:
        raise ImageError(f"the guest image {path} does not have the {size} bytes of its manifest: run make guest again")
    return str(digest)
