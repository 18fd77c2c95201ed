/* Threads that take turns, in one thread state.
 *
 * A thread is what is in the interpreter's thread state while it runs, and the two ends of its frames while it does
 * not. All threads run in the same PyThreadState: what belongs to one of them is exchanged (load). So the host's facts
 * about that state hold for whichever thread runs, and the room on the C stack, which they share, is counted once.
 *
 * A thread leaves the eval loop as a program does (suspend.c): with a request for what it waits for, with Ellipsis when
 * its slice is over, or with bytes for the host. Where C code is below a wait, the thread is pinned: others run above
 * it on the same C stack, until it can continue and is on top. */
#include <pthread.h>

#include "thread.h"

enum {
    MAX_PINNED = 64,
    MIN_C_ROOM = 60,     /* of the thread state's units for nested calls of C: what a pinned thread leaves to others */
    SLICES_PER_POLL = 8, /* to ask the host is a trip across the bridge */
};

PyThreadState *thread_live;
Thread thread_main = {.state = RUNNING, .ident = 1, .deadline = NEVER};
/* Runs where no other can: it waits for the host, and can be left for it as any thread. */
Thread thread_idler = {.state = AT_REST, .ident = UINT32_MAX, .deadline = NEVER};
Thread *thread_current = &thread_main;
int thread_count = 1;
bool threads_are_settling, thread_main_is_interrupted;
static Thread *newest = &thread_main;
static Thread *pins[MAX_PINNED];
static int depth;
static int since_poll; /* slices that have ended since the host was asked */
static int64_t idle_until;
static bool is_final;
static PyObject *final; /* the main thread's answer, while pinned threads are ended */
static bool is_between; /* no thread runs: what is called cannot wait for one */

/* In place of libc's: CPython knows threads by this. */
pthread_t pthread_self(void) { return (pthread_t)(uintptr_t)thread_current->ident; }

bool cloche_has_threads(void) { return thread_count > 1; }

/* ---- exchanging threads ---- */

#define EXCHANGED(X)                                                                                             \
    X(py_recursion_remaining) X(py_recursion_limit) X(recursion_headroom) X(tracing) X(what_event)               \
    X(current_frame) X(c_profilefunc) X(c_tracefunc) X(c_profileobj) X(c_traceobj) X(current_exception)          \
    X(exc_info) X(dict) X(async_exc) X(thread_id) X(delete_later) X(coroutine_origin_tracking_depth)             \
    X(async_gen_firstiter) X(async_gen_finalizer) X(context) X(context_ver) X(id) X(datastack_chunk)             \
    X(datastack_top) X(datastack_limit) X(exc_state) X(threading_local_key) X(threading_local_sentinel)

static void exchange(PyThreadState *a, PyThreadState *b) {
#define EXCHANGE(field)                            \
    {                                              \
        __typeof__(a->field) other = b->field;     \
        b->field = a->field;                       \
        a->field = other;                          \
    }
    EXCHANGED(EXCHANGE)
    _PyThreadStateImpl *one = (_PyThreadStateImpl *)a, *two = (_PyThreadStateImpl *)b;
    PyObject *loop = one->asyncio_running_loop;
    one->asyncio_running_loop = two->asyncio_running_loop;
    two->asyncio_running_loop = loop;
}

/* Has the thread state be that of this thread. */
static void load(Thread *t) {
    if (thread_current == t) return;
    if (thread_current->kept) exchange(thread_live, thread_current->kept);
    if (t->kept) exchange(thread_live, t->kept);
    thread_current = t;
}

/* Where the state of a thread is. */
PyThreadState *thread_state(Thread *t) {
    if (t == thread_current) return thread_live;
    return t == &thread_main ? thread_current->kept : t->kept;
}

/* For code of the program that C calls from here, such as destructors: it has no frame below it, but cannot leave. */
static PyThreadState *hold(void) {
    PyThreadState *before = _PyEval_Suspension.tstate;
    _PyEval_Suspension.tstate = NULL;
    return before;
}

static void let_go(PyThreadState *before) { _PyEval_Suspension.tstate = before; }

static void forget_request(Thread *t) {
    PyObject *request = t->request;
    t->key = t->lock_state = t->request = NULL;
    t->deadline = NEVER;
    threads_at_host -= t->at_host;
    t->at_host = false;
    if (!request) return;
    PyThreadState *before = hold();
    Py_DECREF(request);
    let_go(before);
}

/* A frame that no eval loop has below it. */
static struct _PyInterpreterFrame none;

/* Takes the value, or the error, with which its wait ends. */
static PyObject *resume(Thread *t, PyObject *value, PyObject *error) {
    _PyEval_Suspension.base = _PyEval_Suspension.bottom = t->bottom;
    _PyEval_Suspension.top = t->top;
    _PyEval_Pausing.is_paused = t->paused;
    t->bottom = NULL;
    bool valueless = t->paused || error;
    if (error) PyErr_SetRaisedException(error);
    PyObject *result = _PyEval_Resume(valueless ? NULL : value ? value : Py_None);
    Py_XDECREF(value);
    return result;
}

static PyObject *seconds_to(int64_t deadline) {
    return deadline == NEVER ? Py_NewRef(Py_None) : PyFloat_FromDouble((double)(deadline - thread_now()) / 1e9);
}

static PyObject *begin(Thread *t) {
    _PyEval_Suspension.base = &none;
    if (t == &thread_idler) {
        PyObject *seconds = seconds_to(idle_until);
        PyObject *result = seconds ? PyObject_CallOneArg(t->target, seconds) : NULL;
        Py_XDECREF(seconds);
        return result;
    }
    PyObject *target = t->target;
    t->target = NULL;
    PyObject *result = PyObject_CallNoArgs(target);
    Py_DECREF(target);
    return result;
}

/* Enters a thread. Returns what its eval loop does. */
static PyObject *enter(Thread *t) {
    load(t);
    t->state = RUNNING;
    PyObject *value = t->value, *error = t->error;
    t->value = t->error = NULL;
    forget_request(t);
    thread_mark();
    _PyEval_Turns.slice = SLICE;
    if (t == &thread_main && thread_main_is_interrupted) {
        thread_main_is_interrupted = false;
        thread_live->eval_breaker |= _PY_SIGNALS_PENDING_BIT;
    }
    return t->bottom ? resume(t, value, error) : begin(t);
}

/* ---- the end of a thread ---- */

static void unhook(void) {
    _PyEval_Turns.turn_below_c = NULL;
    _PyEval_Turns.wait_below_c = NULL;
    _PyEval_Turns.released = NULL;
    cloche_threads_pass = NULL;
}

static void unlist(Thread *t) {
    Thread *before = &thread_main;
    while (before->next != t) before = before->next;
    before->next = t->next;
    if (newest == t) newest = before;
    if (--thread_count == 1) unhook();
}

static void end(Thread *t, PyObject *value) {
    PyThreadState *before = hold();
    if (!value && PyErr_ExceptionMatches(PyExc_SystemExit)) PyErr_Clear();
    if (!value && PyErr_Occurred()) PyErr_WriteUnraisable(NULL);
    Py_XDECREF(value);
    /* What dies with the thread's own variables still runs in it. */
    Py_CLEAR(thread_live->threading_local_key);
    Py_CLEAR(thread_live->threading_local_sentinel);
    Py_CLEAR(thread_live->dict);
    t->state = AT_REST;
    load(&thread_main);
    is_between = true;
    PyThreadState_Clear(t->kept);
    PyThreadState_Delete(t->kept);
    unlist(t);
    PyObject *handle = t->handle;
    PyMem_RawFree(t);
    while (thread_wake(handle)) {}
    Py_DECREF(handle);
    is_between = false;
    let_go(before);
}

/* ---- whose turn it is ---- */

static bool can_run(Thread *t) { return !t->pinned || (depth && pins[depth - 1] == t); }

static void throw(Thread *t, PyObject *error) {
    thread_make_ready(t, NULL);
    t->error = error;
}

/* No thread can continue: the main one learns it, or who is in its way. Takes the error. */
static void give_up(PyObject *error) {
    Thread *victim = &thread_main;
    if (threads_are_settling && thread_main.state == WAITING && can_run(&thread_main)) {
        Py_DECREF(error);
        thread_make_ready(&thread_main, Py_NewRef(Py_True));
        return;
    }
    if (thread_main.state != WAITING || !can_run(&thread_main)) victim = depth ? pins[depth - 1] : thread_main.next;
    while (victim && victim->state != WAITING) victim = victim->next;
    if (!victim) __builtin_trap();
    throw(victim, error);
}

/* The idler has returned: time has passed (False), something has come (True), or nothing will (the error to raise). */
static void idled(PyObject *value) {
    thread_idler.state = AT_REST;
    if (!value) value = PyErr_GetRaisedException();
    if (PyExceptionInstance_Check(value)) {
        give_up(value);
        return;
    }
    /* A clock may stand still. */
    if (value == Py_False && idle_until != NEVER) thread_expire(idle_until);
    Py_DECREF(value);
}

/* Takes what an eval loop has returned. */
static void after(Thread *t, PyObject *value) {
    if (_PyEval_Suspension.bottom) {
        t->bottom = _PyEval_Suspension.bottom;
        t->top = _PyEval_Suspension.top;
        t->paused = _PyEval_Pausing.is_paused;
        _PyEval_Suspension.bottom = NULL;
        _PyEval_Pausing.is_paused = 0;
        if (!t->paused && PyTuple_Check(value)) {
            thread_begin_wait(t, value);
        } else {
            since_poll++;
            /* Its slice is over; or it cannot be left for the host here, and its call returns None. */
            thread_make_ready(t, NULL);
            Py_DECREF(value);
        }
    } else if (t == &thread_idler) {
        idled(value);
    } else if (t == &thread_main) {
        final = value;
        is_final = true;
        thread_main.state = AT_REST;
    } else {
        end(t, value);
    }
    while (thread_wake(Py_Ellipsis)) {} /* C code that waits for anything to happen */
}

/* Whether no thread that the program's end waits for can do anything. */
static bool settled(void) {
    for (Thread *t = thread_main.next; t; t = t->next)
        if (!t->daemon && (t->state != WAITING || t->deadline != NEVER || t->at_host)) return false;
    return true;
}

/* Whether a thread still waits for something, or is about to try and take a lock that was released. */
static bool has_not_got_it(const Thread *t) {
    return t->state == WAITING || (t->state == READY && t->request && !t->value && !t->error);
}

/* The main thread waits and was interrupted: it handles its signals where it is, and waits on unless a handler raises. */
static void interrupt_wait(void) {
    thread_main_is_interrupted = false;
    load(&thread_main);
    PyThreadState *before = hold();
    is_between = true;
    int failed = PyErr_CheckSignals();
    is_between = false;
    let_go(before);
    if (!failed) return;
    PyObject *error = PyErr_GetRaisedException();
    if (thread_main.state == WAITING) {
        throw(&thread_main, error);
        return;
    }
    /* The lock was released, perhaps by the handler itself. */
    thread_main.error = error;
    Py_CLEAR(thread_main.value);
    if (!thread_main.attempts) return;
    thread_main.attempts = false;
    /* What it was woken for is the next one's. */
    thread_released(thread_main.key);
}

static Thread *take_ready(void) {
    for (Thread *t = thread_ready.first, *following; t; t = following) {
        following = t->behind;
        if (!can_run(t)) continue;
        thread_drop(&thread_ready, t);
        if (t->attempts && !thread_attempt(t)) continue;
        return t;
    }
    return NULL;
}

/* The thread that runs now, taken from the queue of those that are ready. */
static Thread *next_thread(void) {
    for (;;) {
        if (thread_sleepers) thread_expire(thread_now());
        if (thread_main_is_interrupted && has_not_got_it(&thread_main) && can_run(&thread_main)) interrupt_wait();
        if (threads_are_settling && thread_main.state == WAITING && can_run(&thread_main) && settled()) {
            thread_make_ready(&thread_main, Py_NewRef(Py_True));
            thread_drop(&thread_ready, &thread_main);
            return &thread_main;
        }
        bool can_idle = thread_idler.state == AT_REST && thread_idler.target;
        bool polls = can_idle && threads_at_host && since_poll >= SLICES_PER_POLL;
        Thread *t = polls ? NULL : take_ready();
        if (t) return t;
        if (can_idle) {
            since_poll = 0;
            idle_until = polls ? 0 : thread_sleepers ? thread_sleepers->deadline : NEVER;
            return &thread_idler;
        }
        PyObject *error = PyObject_CallFunction(PyExc_RuntimeError, "s", "deadlock: every thread waits for another");
        if (!error) error = PyErr_GetRaisedException();
        give_up(error);
    }
}

PyObject *cloche_threads_run(PyObject *returned) {
    bool is_alone = thread_count == 1 && thread_current == &thread_main;
    if (is_alone && !(_PyEval_Suspension.bottom && PyTuple_Check(returned))) return returned;
    for (;;) {
        if (_PyEval_Suspension.bottom) {
            if (PyBytes_Check(returned)) return returned;
        } else if (thread_current == &thread_main) {
            break;
        }
        after(thread_current, returned);
        if (is_final) break;
        returned = enter(next_thread());
    }
    if (is_final) {
        returned = final;
        is_final = false;
        load(&thread_main);
        thread_main.state = RUNNING;
    }
    thread_live->eval_breaker &= ~(uintptr_t)_PY_TURN_BIT;
    threads_are_settling = false;
    return returned;
}

void cloche_threads_enter(void) {
    if (thread_count == 1) return;
    thread_mark();
    /* A pause changes nothing of whose turn it is. */
    if (!_PyEval_Suspension.bottom) _PyEval_Turns.slice = SLICE;
}

/* ---- below C code ---- */

static bool has_room(void) { return depth < MAX_PINNED && thread_live->c_recursion_remaining >= MIN_C_ROOM; }

/* Runs others above this thread, which is in a queue, until it can continue. Returns what its wait does. */
static PyObject *nest(Thread *me) {
    struct _PyInterpreterFrame *base = _PyEval_Suspension.base;
    int resumed = _PyEval_Suspension.resumed;
    PyThreadState *leavable = _PyEval_Suspension.tstate;
    _PyEval_Suspension.tstate = thread_live;
    me->pinned = true;
    pins[depth++] = me;
    _PyEval_Turns.is_nested = 1;
    bool returns = false;
    while (!is_final && !returns) {
        Thread *t = next_thread();
        returns = t == me;
        if (!returns) after(t, enter(t));
    }
    if (!returns) thread_dequeue(me);
    load(me);
    depth--;
    me->pinned = false;
    _PyEval_Turns.is_nested = depth > 0;
    _PyEval_Suspension.tstate = leavable;
    _PyEval_Suspension.base = base;
    _PyEval_Suspension.resumed = resumed;
    me->state = RUNNING;
    PyObject *value = me->value, *error = me->error;
    me->value = me->error = NULL;
    forget_request(me);
    thread_mark();
    _PyEval_Turns.slice = SLICE;
    if (!returns) error = PyObject_CallNoArgs(PyExc_SystemExit);
    if (error || !returns) {
        Py_XDECREF(value);
        if (error) PyErr_SetRaisedException(error);
        return NULL;
    }
    return value ? value : Py_NewRef(Py_None);
}

/* Takes the request, which may be NULL with an exception. */
static PyObject *wait_pinned(PyObject *request) {
    if (!request) return NULL;
    if (is_final)
        PyErr_SetNone(PyExc_SystemExit);
    else if (is_between)
        PyErr_SetString(PyExc_RuntimeError, "deadlock: between two threads nothing can wait for one of them");
    else if (!has_room())
        PyErr_SetString(PyExc_RecursionError, "too many threads wait inside built-in functions");
    else {
        thread_begin_wait(thread_current, request);
        return nest(thread_current);
    }
    Py_DECREF(request);
    return NULL;
}

/* A call of suspend() where the eval loop cannot be left. */
PyObject *thread_suspend_pinned(PyObject *self, PyObject *args, PyObject *kwargs) {
    (void)self, (void)kwargs;
    PyObject *request = PyTuple_GET_SIZE(args) == 1 ? PyTuple_GET_ITEM(args, 0) : Py_None;
    if (!PyTuple_Check(request) || !PyTuple_GET_SIZE(request)) Py_RETURN_NONE;
    return wait_pinned(Py_NewRef(request));
}

static int wait_below_c(PyObject *lock, PyTime_t timeout, PyObject *state) {
    PyObject *value = wait_pinned(Py_BuildValue("(OLO)", lock, (long long)timeout, state));
    Py_XDECREF(value); /* True, False and None are immortal */
    return value ? value != Py_False : -1;
}

static bool other_can_run(void) {
    if (thread_sleepers) thread_expire(thread_now());
    for (Thread *t = thread_ready.first; t; t = t->behind)
        if (can_run(t)) return true;
    return false;
}

static int turn_below_c(void) {
    _PyEval_Turns.slice = SLICE;
    if (is_between || !has_room()) return 0;
    if (is_final) return PyErr_SetNone(PyExc_SystemExit), -1;
    if (!other_can_run()) return 0;
    thread_make_ready(thread_current, NULL);
    PyObject *value = nest(thread_current);
    Py_XDECREF(value);
    return value ? 0 : -1;
}

static bool pass(void) {
    if (thread_count == 1 || is_between || is_final || !has_room()) return false;
    PyThreadState *held = PyThreadState_GetUnchecked();
    if (!held) PyEval_RestoreThread(thread_live);
    PyObject *value = wait_pinned(Py_BuildValue("(OO)", Py_Ellipsis, Py_None));
    PyErr_Clear();
    Py_XDECREF(value);
    if (!held) PyEval_SaveThread();
    return value != NULL;
}

/* ---- threads that come and go ---- */

static void hook(void) {
    _PyEval_Turns.turn_below_c = turn_below_c;
    _PyEval_Turns.wait_below_c = wait_below_c;
    _PyEval_Turns.released = thread_released;
    cloche_threads_pass = pass;
}

void thread_add(Thread *t) {
    newest->next = t;
    newest = t;
    if (thread_count++ == 1) hook();
    _PyEval_Turns.slice = SLICE;
    thread_make_ready(t, NULL);
}
