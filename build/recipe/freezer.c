/* Compiles Python source to marshalled code with nothing frozen yet: how the interpreter's own
 * bootstrap modules get their bytecode without a native Python of the same version. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <marshal.h>
#include <pycore_import.h>

#include "cloche.h"

static const struct _frozen no_modules[] = {{NULL, NULL, 0, 0}};
static const struct _module_alias no_aliases[] = {{0, 0}};

const struct _frozen *_PyImport_FrozenBootstrap = no_modules;
const struct _frozen *_PyImport_FrozenStdlib = no_modules;
const struct _frozen *_PyImport_FrozenTest = no_modules;
const struct _frozen *PyImport_FrozenModules;
const struct _module_alias *_PyImport_FrozenAliases = no_aliases;

static PyObject *frozen;

EXPORT("freezer_room") void *freezer_room(int32_t n) { return malloc((size_t)n); }

EXPORT("freezer_start") int32_t freezer_start(void) {
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config._install_importlib = 0;
    config._init_main = 0;
    config.use_hash_seed = 1;
    PyStatus status = PyConfig_SetString(&config, &config.program_name, L"freezer");
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return PyStatus_Exception(status) ? -1 : 0;
}

/* Both strings end in NUL. Returns pointer << 32 | length of the marshalled code, 0 on an error. */
EXPORT("freezer_freeze") int64_t freezer_freeze(const char *name, const char *source) {
    PyObject *code = Py_CompileStringExFlags(source, name, Py_file_input, NULL, 0);
    Py_XSETREF(frozen, code ? PyMarshal_WriteObjectToString(code, Py_MARSHAL_VERSION) : NULL);
    Py_XDECREF(code);
    if (!frozen) return 0;
    return (int64_t)(uintptr_t)PyBytes_AS_STRING(frozen) << 32 | PyBytes_GET_SIZE(frozen);
}
