"""The licences of all that is inside the image: of each pinned source, and of what the compiler brings along."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from recipe import sources, toolchain
from recipe.inputs import Input, load


class LicensedWork(NamedTuple):
    """One work inside the image. The files are its licence's parts, in the order in which they are shown."""

    name: str
    version: str
    licence: str
    home: str
    files: tuple[Path, ...]

    def facts(self) -> dict[str, str]:
        """What the image's manifest tells of it."""
        return {"name": self.name, "version": self.version, "licence": self.licence, "url": self.home}

    def text(self) -> str:
        """The licence in full."""
        return "\n".join(_licence_in(path).rstrip() + "\n" for path in self.files)


def _licence_in(path: Path) -> str:
    """The file's text; of a C file, its first comment."""
    text = path.read_text("utf-8", "replace")
    return text.partition("*/")[0] + "*/" if path.suffix in (".c", ".h") else text


def packages() -> list[LicensedWork]:
    """Every work that a part of the image comes from. The sources are unpacked for it."""
    return [*_pinned(), _c_library(), _compiler_runtime()]


def write(folder: Path) -> None:
    """Write one text per package to a folder, and remove those of others."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{package.name}.txt": package.text() for package in packages()}
    for name, text in wanted.items():
        (folder / name).write_text(text, "utf-8")
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()


def of(source: Input) -> LicensedWork:
    """The work that a pinned source is."""
    text = sources.unpacked(source.name) / source.licence_file
    return LicensedWork(source.name, source.version, source.licence, source.home, (text,))


def _pinned() -> list[LicensedWork]:
    return [of(source) for source in load().values()]


def _c_library() -> LicensedWork:
    """wasi-libc with the parts of musl and cloudlibc that it is made of; its allocator is CC0."""
    folder = toolchain.zig().parent / "lib" / "libc" / "wasi"
    own = ("LICENSE", "LICENSE-APACHE-LLVM", "LICENSE-APACHE", "LICENSE-MIT")
    parts = ("libc-top-half/musl/COPYRIGHT", "libc-bottom-half/cloudlibc/LICENSE")
    files = tuple(folder / name for name in own + parts)
    licence = "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"
    return LicensedWork("wasi-libc", _bundled(), licence, "https://github.com/WebAssembly/wasi-libc", files)


def _compiler_runtime() -> LicensedWork:
    """The routines that compiled code calls, such as 128-bit division."""
    licence = toolchain.zig().parent / "LICENSE"
    return LicensedWork("zig-compiler-rt", _bundled(), "MIT", "https://ziglang.org", (licence,))


def _bundled() -> str:
    return f"of zig {version('ziglang')}"
