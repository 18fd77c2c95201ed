"""The guest's `_sysconfigdata`: there is no compiler and no Makefile in here, only what modules ask for."""

build_time_vars = {
    "EXT_SUFFIX": ".cpython-313-wasm32-wasi.so",
    "HOST_GNU_TYPE": "wasm32-unknown-wasip1",
    "MULTIARCH": "wasm32-wasi",
    "Py_DEBUG": 0,
    "Py_GIL_DISABLED": 0,
    "SOABI": "cpython-313-wasm32-wasi",
    "TZPATH": "/usr/share/zoneinfo",
    "VERSION": "3.13",
    "WITH_DOC_STRINGS": 1,
    "abs_builddir": "/",
    "exec_prefix": "/",
    "prefix": "/",
    "projectbase": "/",
    "srcdir": "/",
}
