"""The guest image: a baked WebAssembly module, checked, compiled once and shared by all machines of a process."""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any, ClassVar

import wasmtime

from cloche.runtime.errors import ImageError
from cloche.runtime.wasm.cache import CompiledCache
from cloche.runtime.wasm.door import check_door
from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.memory import PAGE
from cloche.runtime.wasm.unchecked import UncheckedTemplate

__all__ = ["DEFAULT_IMAGE", "Image"]

DEFAULT_IMAGE = Path(__file__).parents[1] / "image" / "cloche.wasm"


class Image:
    """A guest image on disk. Made with :meth:`load`; may be shared by all threads.

    ``path`` is the module and ``digest`` its SHA-256 in hexadecimal. A manifest beside it with the suffix ``.json``,
    as the bake writes it, states ``sha256`` and ``size``: then only the size is compared at start, and the bytes are
    hashed when they are compiled. Without a manifest they are hashed at once.
    """

    _images: ClassVar[dict[tuple[Path, int, int], "Image"]] = {}
    _images_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: Path, cache: CompiledCache | None = None) -> None:
        self.path = path
        self._cache = cache
        self._lock = threading.Lock()
        self._templates: dict[Engine, UncheckedTemplate] = {}
        self.digest = _digest(path)

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Image":
        """Return the image at ``path``, by default the one shipped with Cloche; one object per file and process.

        Raises ImageError if it is missing or does not fit its manifest.
        """
        place = DEFAULT_IMAGE if path is None else Path(path)
        found = _stat(place)
        key = (place.resolve(), found.st_size, found.st_mtime_ns)
        with cls._images_lock:
            if key not in cls._images:
                cls._images[key] = cls(place)
            return cls._images[key]

    def module(self, engine: Engine) -> wasmtime.Module:
        """Return the compiled module: from the cache, or compiled now, which takes seconds for the shipped image."""
        return self.template(engine).module

    def minimum_memory(self, engine: Engine) -> int:
        """Return the bytes of memory that a fresh guest has."""
        return self.template(engine).min_memory

    def small_inbox(self, engine: Engine) -> int:
        """Return the address at which every guest takes its small requests; 0 if guests must be asked."""
        return self.template(engine).small_inbox()

    def template(self, engine: Engine) -> UncheckedTemplate:
        """Return what makes guests of this image, loaded at the first call."""
        template = self._templates.get(engine)
        if template is not None:
            return template
        with self._lock:
            if engine not in self._templates:
                self._templates[engine] = self._load(engine)
            return self._templates[engine]

    def pristine(self, engine: Engine) -> memoryview:
        """Return the read-only memory of a guest as the image left it. It costs address space, not memory."""
        return self.template(engine).pristine().memory.view().toreadonly()

    def _load(self, engine: Engine) -> UncheckedTemplate:
        cache = self._cache or CompiledCache()
        module = cache.module(engine, self.digest, lambda: self._compile(engine))
        return UncheckedTemplate(engine, module, check_door(module) * PAGE)

    def _compile(self, engine: Engine) -> wasmtime.Module:
        content = self.path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise ImageError(f"the guest image {self.path} does not fit its manifest: build it again with make guest")
        try:
            return wasmtime.Module(engine.wasmtime, content)
        except wasmtime.WasmtimeError as error:
            raise ImageError(f"the guest image {self.path} is not a module this engine can run: {error}") from None


def _stat(path: Path) -> Any:
    try:
        return path.stat()
    except OSError:
        raise ImageError(f"there is no guest image at {path}: run make guest to build it") from None


def _digest(path: Path) -> str:
    manifest = path.with_suffix(".json")
    if not manifest.exists():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest, size = _read_manifest(manifest)
    if _stat(path).st_size != size:
        raise ImageError(f"the guest image {path} does not have the {size} bytes of its manifest: run make guest again")
    return digest


def _read_manifest(path: Path) -> tuple[str, int]:
    try:
        facts: Any = json.loads(path.read_text(encoding="utf-8"))
        return str(facts["sha256"]), int(facts["size"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ImageError(f"the manifest {path} has no sha256 and size: run make guest again") from None
