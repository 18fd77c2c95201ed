"""The cross compiler: zig's clang from the package index, as the programs configure and make expect."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import ziglang

from recipe.workspace import BuildError, cache_root

TARGET = "wasm32-wasi"
# Since clang 20 CPython's -fno-strict-overflow makes pointers wrap too: a field's offset is then no part of its load.
CFLAGS = ("-DNDEBUG", "-O3", "-g0", "-msimd128", "-fno-wrapv-pointer")
LIBS = ("-lwasi-emulated-signal", "-lwasi-emulated-getpid", "-lwasi-emulated-process-clocks", "-lm")

# zig's driver rejects --stack-first (it always places the stack first). The build date and the
# places of sources are fixed, so that the same inputs give the same bytes on any machine.
CC = """\
#!/bin/sh
for a; do shift; case "$a" in
  -Wl,--stack-first) ;;
  *getbuildinfo.c) set -- "$@" -DDATE='"Jun 11 2025"' -DTIME='"00:00:00"' "$a" ;;
  *getpath.c) set -- "$@" -UVPATH -DVPATH='""' "$a" ;;
  *) set -- "$@" "$a" ;;
esac; done
exec "{zig}" cc -target {target} "-ffile-prefix-map={cache}=/build" "$@"
"""
TOOL = '#!/bin/sh\nexec "{zig}" {tool} "$@"\n'

# configure asks its build-python only for a version; all bytecode is made by the guest itself.
BUILD_PYTHON = "#!/bin/sh\necho 3.13\n"


def zig() -> Path:
    """The zig program of the `ziglang` package."""
    return Path(ziglang.__file__).with_name("zig")


def zig_version() -> str:
    """The version of that package."""
    return version("ziglang")


def identity() -> str:
    """What a step's key holds of the compiler."""
    return f"ziglang {zig_version()} {TARGET} {' '.join(CFLAGS)}\n{CC}"


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def install(folder: Path) -> Path:
    """Write `cc`, `ar`, `ranlib` and `build-python` into `folder`. Returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    _script(folder / "cc", CC.format(zig=zig(), target=TARGET, cache=cache_root()))
    _script(folder / "ar", TOOL.format(zig=zig(), tool="ar"))
    _script(folder / "ranlib", TOOL.format(zig=zig(), tool="ranlib"))
    _script(folder / "build-python", BUILD_PYTHON)
    return folder


def environment(tools: Path) -> dict[str, str]:
    """The environment of configure and make: the cross tools, and nothing of the machine's libraries."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME") if name in os.environ}
    named = {name.upper(): str(tools / name) for name in ("cc", "ar", "ranlib")}
    return kept | named | {"PKG_CONFIG_LIBDIR": "/nonexistent", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}


def check_make() -> None:
    """Raise `BuildError` unless GNU make is here."""
    try:
        subprocess.run(["make", "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError("the guest is built with GNU make, which is not on this machine") from error
