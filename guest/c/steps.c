/* Steps of asyncio's tasks whose middle part is Python: what is before and after it. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cloche.h"

/* _asynciomodule.c, as patched */
PyObject *_PyTask_BeginStep(PyObject *callback, PyObject *args, PyObject *make);
int _PyTask_EndStep(PyObject *callback, PyObject *args, PyObject *yielded);

PyObject *cloche_begin_step(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    (void)module;
    if (n != 3 || !PyTuple_Check(args[1])) return PyErr_Format(PyExc_TypeError, "begin_step(callback, args: tuple, make)");
    return _PyTask_BeginStep(args[0], args[1], args[2]);
}

PyObject *cloche_end_step(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    (void)module;
    if (n < 2 || !PyTuple_Check(args[1])) return PyErr_Format(PyExc_TypeError, "end_step(callback, args: tuple[, yielded])");
    return _PyTask_EndStep(args[0], args[1], n > 2 ? Py_NewRef(args[2]) : NULL) < 0 ? NULL : Py_NewRef(Py_None);
}

PyObject *cloche_fail_step(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *callback, *arguments, *error;
    int own;
    if (!PyArg_ParseTuple(args, "OOOi", &callback, &arguments, &error, &own)) return NULL;
    PyTracebackObject *first = (PyTracebackObject *)PyException_GetTraceback(error), *kept = first;
    while (kept && own--) kept = kept->tb_next;
    PyException_SetTraceback(error, kept ? (PyObject *)kept : Py_None);
    Py_XDECREF(first);
    PyErr_SetRaisedException(Py_NewRef(error));
    return _PyTask_EndStep(callback, arguments, NULL) < 0 ? NULL : Py_NewRef(Py_None);
}
