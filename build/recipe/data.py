"""The data image: NumPy, and what builds on it, linked into the guest and imported before it starts.

The packages' objects are linked with those of the core, and baked with the same files: that is the image's base. On top
of it the packages' Python files are placed and imported, as in any image that is built on another one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from cloche.runtime.images import Image
from cloche.runtime.limits import Limits
from cloche.runtime.packages import read_wheel
from recipe import bake, cpython, extensions, inputs, licences, link, modules, pausing, sources, stdlib, toolchain
from recipe.extensions import EXCEPTIONS, NUMPY, PANDAS, Built, Project
from recipe.fetch import fetch
from recipe.progress import progress, run
from recipe.workspace import BuildError, digest_of, fresh, step

HERE = Path(__file__).parent
SETUP = HERE / "inside" / "warm_data.py"
LIMITS = Limits(fuel=30_000_000_000, time=30.0, memory="512 MiB")
"""What suits programs that work with data."""
PARTS = (NUMPY, PANDAS)
IMPORTS = {"numpy": ("numpy", "numpy.linalg", "numpy.random", "numpy.fft", "numpy.ma", "numpy.polynomial")}
WHEELS = {"pandas": ("python-dateutil",)}
"""What a package needs that is pure Python."""

# C++'s exceptions, out of the toolchain's own sources: its library for this target is built without them.
RUNTIME_FLAGS = (
    *("-O3", "-g0", "-msimd128", "-DNDEBUG", "-w", "-D_LIBCXXABI_HAS_NO_THREADS", "-D_LIBCPP_HAS_THREADS=0"),
    *("-DLIBCXXABI_USE_LLVM_UNWINDER", "-D_LIBUNWIND_HAS_NO_THREADS", "-D_LIBUNWIND_HIDE_SYMBOLS"),
    *("-D_LIBCXXABI_BUILDING_LIBRARY", "-D_LIBCPP_BUILDING_LIBRARY"),
)
RUNTIME_FOLDERS = (
    *("libcxxabi/include", "libcxxabi/src", "libcxx/src", "libcxx/include"),
    *("libunwind/include", "libunwind/src"),
)
RUNTIME = ("cxa_exception", "cxa_personality", "cxa_aux_runtime")


def exception_runtime() -> Path:
    """A folder with the objects that throwing and catching needs."""

    def work(folder: Path) -> None:
        library, environment = toolchain.zig().parent / "lib", toolchain.environment(fresh(folder))
        places = [f"-I{library / name}" for name in RUNTIME_FOLDERS]
        jobs = [("c++", library / f"libcxxabi/src/{name}.cpp", ["-std=c++23", *places]) for name in RUNTIME]
        # Not with the C++ library's folders: its headers would take the place of C's.
        jobs += [("cc", library / "libunwind/src/Unwind-wasm.c", ["-std=c2x", f"-I{library / 'libunwind/include'}"])]
        jobs += [("cc", HERE / "exceptions.S", [])]
        with progress("compile the exceptions' run time", len(jobs)) as shown:
            for tool, source, own in jobs:
                flags = [*RUNTIME_FLAGS, *EXCEPTIONS, *own] if own else list(EXCEPTIONS)
                target = folder / f"{source.stem}.o"
                argv: list[str | Path] = [toolchain.zig(), tool, "-target", toolchain.TARGET, *flags]
                argv += ["-c", source, "-o", target]
                run(argv, folder / "log", cwd=folder, env=environment, shown=shown)

    tag = (HERE / "exceptions.S").read_bytes()
    return step("exceptions", digest_of(toolchain.identity(), tag, *RUNTIME_FLAGS, *EXCEPTIONS), work)


def _core_objects(folder: Path) -> list[Path]:
    """The core's own objects, the C library's functions first: see `link`."""
    first = {source.stem for module in modules.library() for source in module.files}
    return sorted(folder.glob("*.o"), key=lambda path: (path.stem.rpartition("-")[0] not in first, path.name))


def linked(parts: tuple[Project, ...] = PARTS) -> Path:
    """The folder of `guest.wasm` with these packages in it, unbaked. Raises `BuildError`."""
    core, objects, runtime = link.linked(), cpython.compiled(), exception_runtime()
    packages = [extensions.built(part) for part in parts]
    own = [(HERE / "inittab.c").read_bytes()]

    def work(folder: Path) -> None:
        environment = toolchain.environment(objects / "bin")
        names = [name for package in packages for name in package.modules]
        rows = [f'EXTENSION("{name}", PyInit_{name.rpartition(".")[2]})\n' for name in names]
        (fresh(folder) / "extensions.inc").write_text("".join(rows))
        include = cpython.include_flags(objects, sources.unpacked("cpython"))
        table, list_of = folder / "inittab.o", f'-DEXTENSIONS="{folder / "extensions.inc"}"'
        target = folder / "guest.wasm"
        frozen = [objects / "Modules/getpath.o", objects / "Python/frozen.o"]
        added = [path for package in packages for path in package.objects]
        everything = [*_core_objects(core), table, *sorted(runtime.glob("*.o")), *added, *cpython.core_inputs(objects)]
        with progress("link the guest with its packages") as shown:
            argv: list[str | Path] = [objects / "bin/cc", *toolchain.CFLAGS, *include, list_of]
            argv += ["-c", HERE / "inittab.c", "-o", table]
            run(argv, folder / "log", cwd=folder, env=environment, shown=shown)
            (folder / "objects.txt").write_text("\n".join(f'"{path}"' for path in [*everything, *frozen]))
            argv = [toolchain.zig(), "c++", "-target", toolchain.TARGET, "-O3", *link.LINK_FLAGS]
            argv += [f"@{folder / 'objects.txt'}", *toolchain.LIBS, "-o", target]
            run(argv, folder / "log", cwd=folder, env=environment, shown=shown)
        said = (folder / "log").read_text()
        if "signature mismatch" in said:
            # Two functions of one name: a call of the wrong one would end the guest.
            target.unlink()
            raise BuildError(f"linking the packages: {said[-2000:]}")

    parts_key = [extensions.key_of(part) for part in parts]
    return step("link-data", digest_of(core.name, objects.name, runtime.name, *own, *parts_key), work)


def base(parts: tuple[Project, ...] = PARTS) -> Path:
    """The folder of an image that has the packages' modules linked in, and none of their files yet."""
    wasm, contents = linked(parts) / "guest.wasm", stdlib.everything()

    def work(folder: Path) -> None:
        with progress("bake the base of the data image"):
            image, caps = bake.bake(wasm, contents)
            host = stdlib.start(wasm, {**contents.packed, **contents.plain})
            stdlib.run(host, (HERE / "inside" / "bake.py").read_text())
            facts = pausing.facts(host)
        # The same eval loop, at other addresses: what a pause costs is the core's.
        said = pausing.measured() | {name: facts[name] for name in ("breaker", "state", "counts")}
        layout = {name: facts[name] for name in ("current", *pausing.LAYOUT)}
        manifest = bake.manifest(image, caps) | {"name": "data-base", "exceptions": True}
        manifest["pause"] = said | {"layout": layout}
        (folder / "cloche.wasm").write_bytes(image)
        (folder / "cloche.json").write_text(json.dumps(manifest, indent=2) + "\n")
        licences.write(folder / "licenses")

    return step("bake-data", digest_of(linked(parts).name, bake.baked().name), work)


def _files(package: Built) -> Iterator[tuple[str, bytes]]:
    for name, path in package.files.items():
        yield name, path.read_bytes()


def image(parts: tuple[Project, ...] = PARTS) -> Path:
    """The folder of the data image. Raises `BuildError`."""
    origin, pins = base(parts), inputs.load(inputs.DATA)
    wheels = [name for part in parts for name in WHEELS.get(part.name, ())]
    warm: list[str | bytes] = [SETUP.read_bytes(), *(pins[name].sha256 for name in wheels)]

    def work(folder: Path) -> None:
        files: dict[str, bytes] = {}
        facts: list[dict[str, str]] = []
        texts: dict[str, str] = {}
        for part in parts:
            files |= dict(_files(extensions.built(part)))
            source = pins[part.name]
            facts.append(licences.of(source).facts() | {"index": "python", "sha256": source.sha256})
            texts[part.name] = licences.of(source).text()
        for name in wheels:
            wheel = read_wheel(fetch(pins[name]))
            files |= wheel.files
            facts.append(wheel.facts)
            texts[wheel.facts["name"]] = wheel.licence
        imports = [name for part in parts for name in IMPORTS.get(part.name, (part.name,))]
        with progress("bake the data image", len(files)) as shown:
            place = fresh(folder / "image")
            setup = SETUP.read_text()
            Image.assemble(place, "data", Image(origin), files, imports, setup, LIMITS, facts, texts)
            shown.advance(len(files))

    return step("image-data", digest_of(origin.name, *warm, repr(LIMITS), repr(IMPORTS)), work) / "image"


def install(parts: tuple[Project, ...] = PARTS) -> Path:
    """Put the data image where the runtime looks for it. Returns its folder."""
    made, place = image(parts), bake.IMAGE / "data"
    wanted = hashlib.sha256((made / "cloche.json").read_bytes()).digest()
    there = place / "cloche.json"
    if not there.exists() or hashlib.sha256(there.read_bytes()).digest() != wanted:
        part = place.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(made, part)
        shutil.rmtree(place, ignore_errors=True)
        part.rename(place)
    return place
