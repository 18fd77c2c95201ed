/* What the files share that make up the threads: threads.c, waiting.c and spawning.c. */
#ifndef CLOCHE_THREAD_H
#define CLOCHE_THREAD_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define Py_BUILD_CORE
#include "pycore_ceval.h"
#include "pycore_frame.h"
#include "pycore_suspend.h"
#include "pycore_tstate.h"
#undef Py_BUILD_CORE

#include "cloche.h"
#include "threads.h"

enum {
    MAX_THREADS = 512, /* the first among them */
    SLICE = 5000,    /* checks of the eval breaker */
};
#define NEVER INT64_MAX

typedef enum { READY, WAITING, RUNNING, AT_REST } State;
typedef struct Thread Thread;
typedef struct {
    Thread *first, *last;
} Queue;

struct Thread {
    Thread *next;           /* of all threads, in the order in which they were started */
    Thread *behind, *ahead; /* in the queue that it is in */
    Thread *later;          /* among those with a deadline */
    PyThreadState *kept;    /* while it runs: what was in the thread state; else what belongs there. Not of the first */
    struct _PyInterpreterFrame *bottom, *top; /* while it is left */
    PyObject *target;                         /* what it will call at first */
    PyObject *handle;                         /* what those that join it wait for */
    PyObject *request;                        /* (key, seconds), (key, seconds, True), or that of a lock */
    PyObject *key, *lock_state;               /* borrowed from the request; the latter NULL where it is of no lock */
    PyObject *value, *error;                  /* what its wait returns or raises */
    int64_t deadline;                         /* nanoseconds of the monotonic clock */
    State state;
    uint32_t ident;
    bool paused;   /* left between two instructions */
    bool pinned;   /* C code is below it */
    bool daemon;
    bool at_host;  /* waits for the host */
    bool attempts; /* ready, if it can take its lock now */
    bool was_late; /* it could not when it was its turn */
};

/* waiting.c */
extern Queue thread_ready;
extern Thread *thread_sleepers;
extern int threads_at_host; /* that wait for the host */
int64_t thread_now(void);
/* Has the eval loop count its checks while another thread could run, or be woken by the host or by time. */
void thread_mark(void);
void thread_append(Queue *queue, Thread *t);
void thread_drop(Queue *queue, Thread *t);
/* Takes a thread out of the queue that it is in, if any. */
void thread_dequeue(Thread *t);
/* The wait of a thread is over. Takes the value. */
void thread_make_ready(Thread *t, PyObject *value);
/* Takes the request; the thread is in a queue then. */
void thread_begin_wait(Thread *t, PyObject *request);
void thread_wait_again(Thread *t);
/* Has the first one that waits for this end its wait. Returns false where none does. */
bool thread_wake(PyObject *key);
void thread_released(PyObject *lock);
/* Whether it has the lock that it was woken for, or no time left; it waits again if not. */
bool thread_attempt(Thread *t);
/* Ends the waits whose time is over at that moment. */
void thread_expire(int64_t until);

/* threads.c */
extern PyThreadState *thread_live; /* the only one that code runs in */
extern Thread thread_main, thread_idler, *thread_current;
extern int thread_count;         /* with the main thread, without the idler */
extern bool threads_are_settling; /* the main thread waits for those that are no daemons */
extern bool thread_main_is_interrupted;
/* Where the state of a thread is. */
PyThreadState *thread_state(Thread *t);
/* Adds a thread, which is ready. */
void thread_add(Thread *t);
/* A call of suspend() where the eval loop cannot be left. */
PyObject *thread_suspend_pinned(PyObject *self, PyObject *args, PyObject *kwargs);

#endif
