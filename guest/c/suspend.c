/* Steps that a program may leave in the middle and enter again: the guest's side of the patch
 * in build/patches/cpython. */
#include <Python.h>

#define Py_BUILD_CORE
#include "pycore_frame.h"
#include "pycore_suspend.h"
#undef Py_BUILD_CORE

#include "cloche.h"

static PyObject suspend = {.ob_refcnt = _Py_IMMORTAL_REFCNT, .ob_type = &_PySuspend_Type};

/* What the host gets of a program that it has paused: [3]. */
#define PAUSED "\x91\x03"

PyObject *cloche_suspend_object(void) {
    if (PyType_Ready(&_PySuspend_Type) < 0) return NULL;
    _PyEval_Pausing.response = PyBytes_FromString(PAUSED);
    return _PyEval_Pausing.response ? Py_NewRef(&suspend) : NULL;
}

/* Hands a request to the step function, or to the call of suspend() that it was left at. A program that was paused
 * takes none. */
PyObject *cloche_suspendable_step(PyObject *step, PyObject *request) {
    if (_PyEval_Suspension.bottom) return _PyEval_Resume(_PyEval_Pausing.is_paused ? NULL : request);
    PyThreadState *tstate = PyThreadState_Get();
    _PyEval_Suspension.tstate = tstate;
    _PyEval_Suspension.base = (struct _PyInterpreterFrame *)tstate->datastack_top;
    _PyEval_Suspension.resumed = 0;
    return PyObject_CallOneArg(step, request);
}

/* Whether the program was left where no call waits. */
bool cloche_is_paused(void) { return _PyEval_Pausing.is_paused; }

PyObject *cloche_blocked_at(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    PyFrameObject *frame = _PyEval_BlockedAt();
    return frame ? (PyObject *)frame : Py_NewRef(Py_None);
}

/* Where the host finds what it needs in order to pause a program, and to say where one stands that cannot be paused.
 * The recipe asks for it once; the manifest has it under the same names. */
EXPORT("cloche_bake_facts") const uint32_t *cloche_bake_facts(void) {
    static uint32_t facts[16];
    const PyThreadState *tstate = PyThreadState_Get();
    const uint32_t found[] = {
        (uint32_t)(uintptr_t)&tstate->eval_breaker,
        (uint32_t)(uintptr_t)&_PyEval_Pausing.fresh,
        _PY_PAUSE_SITES * 16,
        (uint32_t)(uintptr_t)&tstate->current_frame,
        offsetof(_PyInterpreterFrame, previous),
        offsetof(_PyInterpreterFrame, f_executable),
        offsetof(_PyInterpreterFrame, instr_ptr),
        offsetof(_PyInterpreterFrame, owner),
        offsetof(PyCodeObject, co_firstlineno),
        offsetof(PyCodeObject, co_linetable),
        offsetof(PyCodeObject, co_filename),
        offsetof(PyCodeObject, co_qualname),
        offsetof(PyCodeObject, co_code_adaptive),
        offsetof(PyBytesObject, ob_sval),
        sizeof(PyASCIIObject),
        offsetof(PyASCIIObject, length),
    };
    memcpy(facts, found, sizeof facts);
    return facts;
}
