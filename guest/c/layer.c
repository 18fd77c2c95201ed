/* Baking one image on top of another: files are added to it, and what is there when it is sealed is the new image's. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cloche.h"
#include "heap.h"
#include "memfs.h"

int32_t cloche_bake_packed(const char *path, int32_t n, uint8_t *data, int32_t size, int32_t full);
int32_t cloche_bake_file(const char *path, int32_t n, uint8_t *data, int32_t size);
int32_t cloche_bake_seal(void);

PyObject *cloche_place(PyObject *module, PyObject *args) {
    (void)module;
    const char *path, *data;
    Py_ssize_t length, size;
    int full;
    if (!PyArg_ParseTuple(args, "s#y#i", &path, &length, &data, &size, &full)) return NULL;
    uint8_t *copy = malloc(size ? (size_t)size : 1);
    if (!copy) return PyErr_NoMemory();
    memcpy(copy, data, (size_t)size);
    int32_t n = (int32_t)length, bytes = (int32_t)size;
    if (!(full < 0 ? cloche_bake_file(path, n, copy, bytes) : cloche_bake_packed(path, n, copy, bytes, full))) Py_RETURN_NONE;
    free(copy);
    return PyErr_Format(PyExc_FileExistsError, "the image has a file %s already", path);
}

PyObject *cloche_seal(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    if (cloche_bake_seal()) return PyErr_NoMemory();
    heap_clear();
    heap_close_holes();
    Py_RETURN_NONE;
}
