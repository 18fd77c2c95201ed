/* Steps that a program may leave in the middle and enter again: the guest's side of the patch
 * in build/patches/cpython. */
#include <Python.h>

#define Py_BUILD_CORE
#include "pycore_suspend.h"
#undef Py_BUILD_CORE

#include "cloche.h"

static PyObject suspend = {.ob_refcnt = _Py_IMMORTAL_REFCNT, .ob_type = &_PySuspend_Type};

PyObject *cloche_suspend_object(void) { return PyType_Ready(&_PySuspend_Type) < 0 ? NULL : Py_NewRef(&suspend); }

/* Hands a request to the step function, or to the call of suspend() that it was left at. */
PyObject *cloche_suspendable_step(PyObject *step, PyObject *request) {
    if (_PyEval_Suspension.bottom) return _PyEval_Resume(request);
    _PyEval_Suspension.tstate = PyThreadState_Get();
    return PyObject_CallOneArg(step, request);
}

PyObject *cloche_blocked_at(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    PyFrameObject *frame = _PyEval_BlockedAt();
    return frame ? (PyObject *)frame : Py_NewRef(Py_None);
}
