/* Waiting for a lock that is held, where no other thread can run.
 *
 * CPython waits on a condition. libc's own pthread_cond_wait() traps, which would end the run; this one, taking its
 * place, says that a signal came, upon which CPython runs the pending calls, and ours raises. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include <stdbool.h>

#include "threads.h"

/* A pointer, as this function stands below nearly all of CPython: a direct call would make a circle of them, and each
 * function of a circle costs fuel when it is called. */
bool (*cloche_threads_pass)(void);

static bool raising;

static int raise_deadlock(void *unused) {
    (void)unused;
    raising = false;
    PyErr_SetString(PyExc_RuntimeError,
                    "deadlock: the lock is held already, and nothing else runs in this sandbox meanwhile "
                    "that could release it");
    return -1;
}

/* Some of CPython's own waits do not look for signals. They come here again at once, and have no way out. */
int pthread_cond_wait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex) {
    (void)condition, (void)mutex;
    if (cloche_threads_pass && cloche_threads_pass()) return 0;
    if (raising || Py_AddPendingCall(raise_deadlock, NULL) < 0) __builtin_trap();
    raising = true;
    return 0;
}
