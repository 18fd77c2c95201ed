"""The C that is added to CPython's own, each part files and flags: modules, and functions of the C library."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from recipe import sources
from recipe.inputs import BUILD

ZLIB = ["adler32", "crc32", "deflate", "inffast", "inflate", "inftrees", "trees", "uncompr", "zutil"]
BZIP2 = ["blocksort", "huffman", "crctable", "randtable", "compress", "decompress", "bzlib"]
XZ_COMMON = [
    "common",
    "block_util",
    "easy_preset",
    "filter_common",
    "hardware_physmem",
    "index",
    "stream_flags_common",
    "vli_size",
    "alone_encoder",
    "block_buffer_encoder",
    "block_encoder",
    "block_header_encoder",
    "easy_buffer_encoder",
    "easy_encoder",
    "easy_encoder_memusage",
    "filter_buffer_encoder",
    "filter_encoder",
    "filter_flags_encoder",
    "index_encoder",
    "stream_buffer_encoder",
    "stream_encoder",
    "stream_flags_encoder",
    "vli_encoder",
    "alone_decoder",
    "auto_decoder",
    "block_buffer_decoder",
    "block_decoder",
    "block_header_decoder",
    "easy_decoder_memusage",
    "file_info",
    "filter_buffer_decoder",
    "filter_decoder",
    "filter_flags_decoder",
    "index_decoder",
    "index_hash",
    "lzip_decoder",
    "stream_buffer_decoder",
    "stream_decoder",
    "stream_flags_decoder",
    "vli_decoder",
]
XZ_FILES = [
    *(f"common/{name}" for name in XZ_COMMON),
    *(f"check/{name}" for name in ("check", "crc32_fast", "crc64_fast", "sha256")),
    *(f"lz/{name}" for name in ("lz_encoder", "lz_encoder_mf", "lz_decoder")),
    *(f"lzma/{name}" for name in ("lzma_encoder", "lzma_encoder_presets", "lzma_encoder_optimum_fast")),
    *(f"lzma/{name}" for name in ("lzma_encoder_optimum_normal", "fastpos_table", "lzma_decoder")),
    *(f"lzma/{name}" for name in ("lzma2_encoder", "lzma2_decoder")),
    "rangecoder/price_table",
    *(f"delta/{name}" for name in ("delta_common", "delta_encoder", "delta_decoder")),
    *(f"simple/{name}" for name in ("simple_coder", "simple_encoder", "simple_decoder")),
    *(f"simple/{name}" for name in ("x86", "powerpc", "ia64", "arm", "armthumb", "arm64", "sparc", "riscv")),
]
XZ_FLAGS = [
    "HAVE_STDINT_H",
    "HAVE_INTTYPES_H",
    "HAVE_STDBOOL_H",
    "HAVE_LIMITS_H",
    "HAVE_STRING_H",
    "HAVE_ENCODERS",
    "HAVE_DECODERS",
    "HAVE_ENCODER_LZMA1",
    "HAVE_ENCODER_LZMA2",
    "HAVE_DECODER_LZMA1",
    "HAVE_DECODER_LZMA2",
    "HAVE_ENCODER_DELTA",
    "HAVE_DECODER_DELTA",
    "HAVE_ENCODER_X86",
    "HAVE_DECODER_X86",
    "HAVE_ENCODER_POWERPC",
    "HAVE_DECODER_POWERPC",
    "HAVE_ENCODER_IA64",
    "HAVE_DECODER_IA64",
    "HAVE_ENCODER_ARM",
    "HAVE_DECODER_ARM",
    "HAVE_ENCODER_ARMTHUMB",
    "HAVE_DECODER_ARMTHUMB",
    "HAVE_ENCODER_ARM64",
    "HAVE_DECODER_ARM64",
    "HAVE_ENCODER_SPARC",
    "HAVE_DECODER_SPARC",
    "HAVE_ENCODER_RISCV",
    "HAVE_DECODER_RISCV",
    "HAVE_CHECK_CRC32",
    "HAVE_CHECK_CRC64",
    "HAVE_CHECK_SHA256",
    "HAVE_MF_HC3",
    "HAVE_MF_HC4",
    "HAVE_MF_BT2",
    "HAVE_MF_BT3",
    "HAVE_MF_BT4",
    "HAVE_LZIP_DECODER",
]
SQLITE_FLAGS = [
    "SQLITE_THREADSAFE=0",
    "SQLITE_DEFAULT_MEMSTATUS=0",
    "SQLITE_OMIT_LOAD_EXTENSION",
    # Else one directory per open database stands for its lock, and two readers shut each other out.
    'SQLITE_DEFAULT_UNIX_VFS="unix"',
    "SQLITE_EXTRA_INIT=cloche_sqlite_start",
    "SQLITE_TEMP_STORE=2",
    "SQLITE_ENABLE_FTS5",
    "SQLITE_ENABLE_MATH_FUNCTIONS",
    "SQLITE_ENABLE_RTREE",
    "HAVE_USLEEP=1",
    "PY_SQLITE_HAVE_SERIALIZE",
]
XZ_FOLDERS = ["api", "common", "check", "lz", "rangecoder", "lzma", "delta", "simple"]


# The toolchain's are wrong in the last digits, log2 and log10 of tiny numbers in most, and acosh of negative ones.
MATH = ["acosh", "exp", "exp2", "log10", "log2_data", "log2"]
MATH_FLAGS = [
    "-std=c99",
    "-fno-builtin",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    '-Dhidden=__attribute__((__visibility__("hidden")))',
    "-w",
]
LIBC = BUILD.parent / "guest" / "libc"
LIBC_FLAGS = ("-fno-builtin", "-Wall", "-Wextra", "-Werror", "-std=c11", "-D_GNU_SOURCE")


@dataclass(frozen=True)
class CModule:
    """Something in C: the files it is made of, with its flags."""

    name: str
    files: tuple[Path, ...]
    flags: tuple[str, ...] = ()
    inputs: tuple[str, ...] = field(default=())


def _msgpack() -> CModule:
    tree = sources.unpacked("msgpack") / "msgpack"
    # The generated C is Cython's: its warnings are not ours to fix.
    return CModule(
        "_cmsgpack",
        (tree / "_cmsgpack.c",),
        (f"-I{tree}", f"-I{tree.parent}", "-D__LITTLE_ENDIAN__=1", "-w"),
        ("msgpack",),
    )


def _zlib(cpython: Path) -> CModule:
    tree = sources.unpacked("zlib")
    files = [cpython / "Modules/zlibmodule.c", *(tree / f"{name}.c" for name in ZLIB)]
    return CModule("zlib", tuple(files), (f"-I{tree}", "-w"), ("zlib",))


def _bz2(cpython: Path) -> CModule:
    tree = sources.unpacked("bzip2")
    files = [cpython / "Modules/_bz2module.c", *(tree / f"{name}.c" for name in BZIP2)]
    return CModule("_bz2", tuple(files), (f"-I{tree}", "-w"), ("bzip2",))


def _lzma(cpython: Path) -> CModule:
    tree = sources.unpacked("xz")
    library = tree / "src/liblzma"
    files = [cpython / "Modules/_lzmamodule.c", *(library / f"{name}.c" for name in XZ_FILES)]
    include = [f"-I{library / name}" for name in XZ_FOLDERS] + [f"-I{tree}/src/common"]
    defines = [f"-D{flag}=1" for flag in XZ_FLAGS] + ["-DTUKLIB_SYMBOL_PREFIX=lzma_", "-DSIZEOF_SIZE_T=4"]
    return CModule("_lzma", tuple(files), (*include, *defines, "-DNDEBUG", "-w"), ("xz",))


def _sqlite(cpython: Path) -> CModule:
    library, wrapper = sources.unpacked("sqlite") / "sqlite", cpython / "Modules/_sqlite"
    files = [*sorted(wrapper.glob("*.c")), library / "sqlite3.c"]
    flags = (f"-I{library}", f"-I{wrapper}", *(f"-D{flag}" for flag in SQLITE_FLAGS), "-w")
    return CModule("_sqlite3", tuple(files), flags, ("sqlite",))


def library() -> list[CModule]:
    """Functions of the C library that take the place of the toolchain's.

    They must come first when the guest is linked: an object before them that needs one of them would get the other.
    """
    tree = sources.unpacked("musl")
    include = [f"-I{tree}/src/internal", f"-I{tree}/arch/generic"]
    files = tuple(tree / f"src/math/{name}.c" for name in MATH)
    own = CModule("libc", tuple(sorted(LIBC.glob("*.c"))), LIBC_FLAGS)
    return [own, CModule("math", files, (*MATH_FLAGS, *include), ("musl",))]


def all_modules() -> list[CModule]:
    """Every added module, its sources unpacked."""
    cpython = sources.unpacked("cpython")
    return [_msgpack(), _zlib(cpython), _bz2(cpython), _lzma(cpython), _sqlite(cpython)]
