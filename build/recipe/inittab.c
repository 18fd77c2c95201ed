/* Extension modules that are linked into the guest beside the core's own: Python finds them by their names.
 * EXTENSIONS is the list that the recipe writes, a line for each: EXTENSION("a.b", PyInit_b) */
#include <Python.h>

#define EXTENSION(name, init) PyMODINIT_FUNC init(void);
#include EXTENSIONS
#undef EXTENSION

#define EXTENSION(name, init) {name, init},
static const struct {
    const char *name;
    PyObject *(*init)(void);
} extensions[] = {
#include EXTENSIONS
};

/* When the module is initialised, before there is an interpreter. */
__attribute__((constructor)) static void add_extensions(void) {
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        PyImport_AppendInittab(extensions[i].name, extensions[i].init);
}
