/* The guest's entry points: two that the host uses at run time, and those of the bake,
 * which the shipped module no longer exports. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cloche.h"

PyMODINIT_FUNC PyInit__cmsgpack(void);
PyMODINIT_FUNC PyInit_zlib(void);
PyMODINIT_FUNC PyInit__bz2(void);
PyMODINIT_FUNC PyInit__lzma(void);
PyMODINIT_FUNC PyInit__sqlite3(void);

/* ---- run time ---- */

/* Small requests all go to one place, which the host need not ask for again. */
static char small_inbox[CLOCHE_SMALL_INBOX];
static PyObject *large_inbox, *response;
/* The request that a paused program is in the middle of: freed when its step ends, as without the pause. */
static PyObject *interrupted;

/* Room for a request of n bytes, or 0. Up to CLOCHE_SMALL_INBOX bytes it is always the same. */
EXPORT("cloche_inbox") char *cloche_inbox(int32_t n) {
    Py_CLEAR(response);
    Py_CLEAR(large_inbox);
    if (0 <= n && n <= CLOCHE_SMALL_INBOX) return small_inbox;
    large_inbox = PyBytes_FromStringAndSize(NULL, n);
    if (large_inbox) return PyBytes_AS_STRING(large_inbox);
    PyErr_Clear();
    return NULL;
}

static PyObject *take_request(int32_t n) {
    if (!large_inbox) return 0 <= n && n <= CLOCHE_SMALL_INBOX ? PyBytes_FromStringAndSize(small_inbox, n) : NULL;
    if (PyBytes_GET_SIZE(large_inbox) != n) return NULL;
    PyObject *request = large_inbox;
    large_inbox = NULL;
    return request;
}

/* Handles the request in the inbox. Returns pointer << 32 | length of the response, which
 * stays valid until the next request; 0 if not even an error could be answered. */
EXPORT("cloche_step") int64_t cloche_step(int32_t n) {
    Py_CLEAR(response);
    PyObject *request = take_request(n);
    response = request ? cloche_bridge_step(request) : NULL;
    bool paused = cloche_is_paused();
    if (paused && !interrupted)
        interrupted = request;
    else
        Py_XDECREF(request);
    if (!paused) Py_CLEAR(interrupted);
    if (response && PyBytes_Check(response))
        return (int64_t)(uintptr_t)PyBytes_AS_STRING(response) << 32 | PyBytes_GET_SIZE(response);
    Py_CLEAR(response);
    PyErr_Clear();
    return 0;
}

/* ---- baking ---- */

static const struct {
    const char *name;
    PyObject *(*init)(void);
} builtin[] = {
    {"_cloche", cloche_bridge_module}, {"msgpack._cmsgpack", PyInit__cmsgpack}, {"zlib", PyInit_zlib},
    {"_bz2", PyInit__bz2},             {"_lzma", PyInit__lzma},                     {"_sqlite3", PyInit__sqlite3},
};

static PyStatus configure(PyConfig *config) {
    PyStatus status = PyConfig_SetString(config, &config->program_name, L"python");
    if (!PyStatus_Exception(status)) status = PyConfig_SetString(config, &config->prefix, L"/");
    if (!PyStatus_Exception(status)) status = PyConfig_SetString(config, &config->exec_prefix, L"/");
    if (!PyStatus_Exception(status)) status = PyConfig_SetString(config, &config->executable, L"");
    if (!PyStatus_Exception(status)) status = PyConfig_SetString(config, &config->stdlib_dir, L"/lib");
    if (!PyStatus_Exception(status)) status = PyWideStringList_Append(&config->module_search_paths, L"/lib");
    config->module_search_paths_set = 1;
    config->site_import = 0;
    config->write_bytecode = 0;
    config->install_signal_handlers = 0;
    config->pathconfig_warnings = 0;
    /* Hashes guard nothing here: a guest can only slow itself down, and pays in fuel. */
    config->use_hash_seed = 1;
    config->hash_seed = 0;
    return status;
}

/* Starts the interpreter. Returns 0, or -1 with the reason on stream 2. */
EXPORT("cloche_bake_start") int32_t cloche_bake_start(void) {
    PyPreConfig before;
    PyConfig config;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    PyStatus status = Py_PreInitialize(&before);
    for (size_t i = 0; i < sizeof builtin / sizeof *builtin; i++)
        PyImport_AppendInittab(builtin[i].name, builtin[i].init);
    PyConfig_InitIsolatedConfig(&config);
    if (!PyStatus_Exception(status)) status = configure(&config);
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status) && status.err_msg) host_write(2, status.err_msg, (int32_t)strlen(status.err_msg));
    return PyStatus_Exception(status) ? -1 : 0;
}

/* Runs source text (NUL-terminated) in __main__. Returns 0, or -1 with the traceback on stream 2. */
EXPORT("cloche_bake_run") int32_t cloche_bake_run(const char *source) { return PyRun_SimpleString(source); }
