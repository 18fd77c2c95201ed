/* Threads as the prelude has them: what _cloche offers of threads.c. */
#include "thread.h"

static uint32_t last_ident = 1;

static PyThreadState *new_state(uint32_t ident) {
    PyThreadState *state = PyThreadState_New(thread_live->interp);
    if (!state) return NULL;
    state->thread_id = ident;
    state->exc_info = &thread_live->exc_state;
    return state;
}

/* spawn(target, handle, daemon, idle) -> the thread's number */
static PyObject *spawn(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *target, *handle, *idle;
    int daemon;
    if (!PyArg_ParseTuple(args, "OOpO", &target, &handle, &daemon, &idle)) return NULL;
    if (thread_count >= MAX_THREADS)
        return PyErr_Format(PyExc_RuntimeError, "can't start new thread: there are %d already", MAX_THREADS);
    if (!thread_idler.kept && !(thread_idler.kept = new_state(thread_idler.ident))) return PyErr_NoMemory();
    Thread *t = PyMem_RawCalloc(1, sizeof *t);
    if (!t || !(t->kept = new_state(last_ident + 1))) return PyMem_RawFree(t), PyErr_NoMemory();
    t->ident = ++last_ident;
    t->target = Py_NewRef(target);
    t->handle = Py_NewRef(handle);
    t->daemon = daemon;
    t->deadline = NEVER;
    t->state = AT_REST;
    Py_XSETREF(thread_idler.target, Py_NewRef(idle));
    thread_add(t);
    return PyLong_FromUnsignedLong(t->ident);
}

static PyObject *unpark(PyObject *module, PyObject *key) {
    (void)module;
    return PyBool_FromLong(thread_wake(key));
}

static PyObject *interrupt(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    thread_main_is_interrupted = thread_current != &thread_main;
    thread_mark();
    Py_RETURN_NONE;
}

static PyObject *settle_threads(PyObject *module, PyObject *on) {
    (void)module;
    threads_are_settling = PyObject_IsTrue(on) == 1;
    Py_RETURN_NONE;
}

static PyObject *number_of(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    return PyLong_FromLong(thread_count - 1);
}

static PyObject *is_alive(PyObject *module, PyObject *ident) {
    (void)module;
    unsigned long wanted = PyLong_AsUnsignedLong(ident);
    if (PyErr_Occurred()) return NULL;
    for (Thread *t = &thread_main; t; t = t->next)
        if (t->ident == wanted) Py_RETURN_TRUE;
    Py_RETURN_FALSE;
}

static PyObject *described(Thread *t) {
    PyObject *frame = (PyObject *)_PyEval_FrameObject(t->bottom ? t->top : thread_state(t)->current_frame);
    PyErr_Clear();
    bool is_stuck = t->state == WAITING && t->deadline == NEVER && !t->at_host;
    return Py_BuildValue("(kNOOO)", (unsigned long)t->ident, frame ? frame : Py_NewRef(Py_None),
                         is_stuck ? Py_True : Py_False, t->pinned ? Py_True : Py_False, t->daemon ? Py_True : Py_False);
}

static PyObject *listed(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    PyObject *all = PyList_New(0);
    for (Thread *t = &thread_main; t && all; t = t->next) {
        PyObject *one = described(t);
        if (!one || PyList_Append(all, one) < 0) Py_CLEAR(all);
        Py_XDECREF(one);
    }
    return all;
}

static PyObject *enter_context(PyObject *module, PyObject *context) {
    (void)module;
    return PyContext_Enter(context) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *exit_context(PyObject *module, PyObject *context) {
    (void)module;
    return PyContext_Exit(context) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef methods[] = {
    {"spawn", spawn, METH_VARARGS,
     "spawn(target, handle, daemon, idle) -> int: start a thread, and return its number. Those that wait for the "
     "handle are woken when it ends; idle(seconds) is what waits for the host when no thread can run."},
    {"unpark", unpark, METH_O, "unpark(key) -> bool: wake the first thread that waits for it. False if none does."},
    {"interrupt", interrupt, METH_NOARGS, "interrupt(): have the first thread look at its signals, if it waits."},
    {"settle_threads", settle_threads, METH_O,
     "settle_threads(on): the wait of the first thread ends when no thread but daemons can do anything any more."},
    {"count_threads", number_of, METH_NOARGS, "count_threads() -> int: how many threads there are beside the main one."},
    {"is_alive", is_alive, METH_O, "is_alive(ident) -> bool: whether that thread has not ended."},
    {"threads", listed, METH_NOARGS,
     "threads() -> list of (ident, frame, waits without an end, has C code below it, daemon), the main one first."},
    {"enter_context", enter_context, METH_O, "enter_context(context): as Context.run() does at its beginning."},
    {"exit_context", exit_context, METH_O, "exit_context(context): as Context.run() does at its end."},
    {NULL, NULL, 0, NULL},
};

int cloche_threads_init(PyObject *module) {
    thread_live = PyThreadState_Get();
    _PyEval_Turns.slice = SLICE;
    _PySuspend_Type.tp_call = thread_suspend_pinned;
    return PyModule_AddFunctions(module, methods);
}
