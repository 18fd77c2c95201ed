/* Steps that a program may leave in the middle and enter again: the guest's side of the patch
 * in build/patches/cpython. */
#include <Python.h>

#define Py_BUILD_CORE
#include "pycore_frame.h"
#include "pycore_suspend.h"
#undef Py_BUILD_CORE

#include "cloche.h"
#include "threads.h"

static PyObject suspend = {.ob_refcnt = _Py_IMMORTAL_REFCNT, .ob_type = &_PySuspend_Type};

/* What the host gets of a program that it has paused: [3]. */
#define PAUSED "\x91\x03"

PyObject *cloche_suspend_object(void) {
    if (PyType_Ready(&_PySuspend_Type) < 0) return NULL;
    _PyEval_Pausing.response = PyBytes_FromString(PAUSED);
    return _PyEval_Pausing.response ? Py_NewRef(&suspend) : NULL;
}

/* In place of an answer that the host does not have yet. Immortal. */
static PyObject unanswered = {.ob_refcnt = _Py_IMMORTAL_REFCNT, .ob_type = &PyBaseObject_Type};

PyObject *cloche_unanswered(void) { return &unanswered; }

/* What the thread state has left for nested calls of C, outside of the outermost eval loop. */
static int room;
/* What that loop takes of it, and a call that it makes. Another loop within takes as much again. */
enum { OUTERMOST = 3 + 1 };

/* The check behind the call finds the bit, and nothing lets it pass. A thread that sleeps has none as its own. */
bool cloche_leaves(void) {
    PyThreadState *current = PyThreadState_GetUnchecked(), *tstate = _PyEval_Suspension.tstate;
    if ((current && current != tstate) || !_PyEval_Pausing.response ||
        tstate->c_recursion_remaining < room - OUTERMOST)
        return false;
    _PyEval_Pausing.fresh = 0;
    /* Nor does the thread's slice end there. */
    if (_PyEval_Turns.slice < 2) _PyEval_Turns.slice = 2;
    tstate->eval_breaker |= _PY_PAUSE_BIT;
    return true;
}

/* Puts the answer in its place, where the program has left at a call. Returns false where there is none. */
static bool answered(void) {
    cloche_woken();
    _PyInterpreterFrame *top = _PyEval_Suspension.top;
    if (top->stacktop <= 0 || top->localsplus[top->stacktop - 1] != &unanswered) return true;
    PyObject *answer = cloche_answer();
    if (!answer) return false;
    top->localsplus[top->stacktop - 1] = answer;
    return true;
}

/* What an outermost eval loop has returned, after other threads have run; leaving beside them has its own price. */
static PyObject *left(PyObject *returned) {
    PyObject *response = cloche_threads_run(returned);
    if (_PyEval_Pausing.is_paused && cloche_has_threads()) _PyEval_Pausing.passed[_PY_PAUSE_BESIDE]++;
    return response;
}

/* Hands a request to the step function, or to the call of suspend() that it was left at. A program that was paused
 * takes none. */
PyObject *cloche_suspendable_step(PyObject *step, PyObject *request) {
    PyThreadState *tstate = PyThreadState_Get();
    room = tstate->c_recursion_remaining;
    cloche_threads_enter();
    if (_PyEval_Suspension.bottom) {
        bool paused = _PyEval_Pausing.is_paused;
        /* It may be a thread's, whose bottom is known from here on. */
        if (paused) _PyEval_Suspension.base = _PyEval_Suspension.bottom;
        return paused && !answered() ? NULL : left(_PyEval_Resume(paused ? NULL : request));
    }
    _PyEval_Suspension.tstate = tstate;
    _PyEval_Suspension.base = (struct _PyInterpreterFrame *)tstate->datastack_top;
    _PyEval_Suspension.resumed = 0;
    return left(PyObject_CallOneArg(step, request));
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
        _PY_PAUSE_SITES * _PY_PAUSE_CIRCUMSTANCES,
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
