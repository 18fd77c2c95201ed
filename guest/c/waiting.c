/* What threads wait for: queues by key in the order of waiting, those that are ready, and timers. */
#include "thread.h"

enum { BUCKETS = 64 };

Queue thread_ready;
Thread *thread_sleepers;
int threads_at_host;
static Queue waiting[BUCKETS];

/* ---- queues ---- */

static Queue *bucket(PyObject *key) { return &waiting[((uintptr_t)key >> 4) % BUCKETS]; }

void thread_append(Queue *queue, Thread *t) {
    t->behind = NULL;
    t->ahead = queue->last;
    *(queue->last ? &queue->last->behind : &queue->first) = t;
    queue->last = t;
}

static void prepend(Queue *queue, Thread *t) {
    t->ahead = NULL;
    t->behind = queue->first;
    *(queue->first ? &queue->first->ahead : &queue->last) = t;
    queue->first = t;
}

void thread_drop(Queue *queue, Thread *t) {
    *(t->ahead ? &t->ahead->behind : &queue->first) = t->behind;
    *(t->behind ? &t->behind->ahead : &queue->last) = t->ahead;
    t->behind = t->ahead = NULL;
}

static void set_timer(Thread *t) {
    if (t->deadline == NEVER) return;
    Thread **place = &thread_sleepers;
    while (*place && (*place)->deadline <= t->deadline) place = &(*place)->later;
    t->later = *place;
    *place = t;
}

static void clear_timer(Thread *t) {
    if (t->deadline == NEVER) return;
    for (Thread **place = &thread_sleepers; *place; place = &(*place)->later)
        if (*place == t) {
            *place = t->later;
            return;
        }
}

/* Has the eval loop thread_count its checks while another thread could run. */
void thread_mark(void) {
    /* Without a branch: a pause leads through here, and must cost the same each time. */
    uintptr_t others = (uintptr_t)thread_ready.first | (uintptr_t)thread_sleepers | (uintptr_t)threads_at_host |
                       (uintptr_t)thread_main_is_interrupted;
    thread_live->eval_breaker = (thread_live->eval_breaker & ~(uintptr_t)_PY_TURN_BIT) | (others ? _PY_TURN_BIT : 0);
}

/* The wait of a thread is over. Takes the value. */
void thread_make_ready(Thread *t, PyObject *value) {
    if (t->state == WAITING) {
        thread_drop(bucket(t->key), t);
        clear_timer(t);
    }
    t->value = value;
    t->state = READY;
    thread_append(&thread_ready, t);
    thread_mark();
}

static PyObject *taken(Thread *t) { return Py_NewRef(t->lock_state == Py_None ? Py_True : Py_None); }

/* ---- waiting ---- */

int64_t thread_now(void) { return host_clock(1); }

/* What the request says: for how many nanoseconds, or NEVER. */
static int64_t patience(PyObject *time, bool is_lock) {
    if (is_lock) {
        int64_t left = PyLong_AsLongLong(time);
        return left < 0 ? NEVER : left;
    }
    if (time == Py_None) return NEVER;
    double seconds = PyFloat_AsDouble(time);
    return seconds > 0 ? seconds < 9e9 ? (int64_t)(seconds * 1e9) : NEVER : 0;
}

void thread_wait_again(Thread *t) {
    t->state = WAITING;
    thread_append(bucket(t->key), t);
    set_timer(t);
}

/* Takes the request. */
void thread_begin_wait(Thread *t, PyObject *request) {
    Py_ssize_t size = PyTuple_GET_SIZE(request);
    PyObject *more = size > 2 ? PyTuple_GET_ITEM(request, 2) : NULL;
    t->request = request;
    t->key = PyTuple_GET_ITEM(request, 0);
    t->lock_state = more && !PyBool_Check(more) ? more : NULL;
    t->at_host = more == Py_True;
    threads_at_host += t->at_host;
    t->was_late = false;
    int64_t left = size > 1 ? patience(PyTuple_GET_ITEM(request, 1), t->lock_state != NULL) : 0;
    PyErr_Clear();
    if (left == 0 && !t->lock_state) { /* a turn for the others, no more */
        thread_make_ready(t, Py_NewRef(Py_False));
        return;
    }
    t->deadline = left == NEVER ? NEVER : left + thread_now();
    thread_wait_again(t);
}

static Thread *waiter_of(PyObject *key) {
    Thread *t = bucket(key)->first;
    while (t && t->key != key) t = t->behind;
    return t;
}

bool thread_wake(PyObject *key) {
    Thread *t = waiter_of(key);
    if (t) thread_make_ready(t, Py_NewRef(Py_True));
    return t != NULL;
}

/* The first that waits for a lock tries to take it when it is its turn; one that came too late gets it at once. */
void thread_released(PyObject *lock) {
    Thread *t = waiter_of(lock);
    if (!t || !t->lock_state) return;
    if (t->was_late && _PyLock_Take(lock, t->ident, t->lock_state)) {
        thread_make_ready(t, taken(t));
    } else {
        thread_make_ready(t, NULL);
        t->attempts = true;
    }
}

/* Whether it has the lock; it waits again if not. */
bool thread_attempt(Thread *t) {
    t->attempts = false;
    if (_PyLock_Take(t->key, t->ident, t->lock_state)) {
        t->value = taken(t);
        return true;
    }
    if (t->deadline <= thread_now()) {
        t->value = Py_NewRef(Py_False);
        return true;
    }
    t->was_late = true;
    t->state = WAITING;
    prepend(bucket(t->key), t);
    set_timer(t);
    return false;
}

void thread_expire(int64_t until) {
    while (thread_sleepers && thread_sleepers->deadline <= until)
        thread_make_ready(thread_sleepers, Py_NewRef(Py_False));
}

void thread_dequeue(Thread *t) {
    if (t->state == READY) {
        thread_drop(&thread_ready, t);
    } else if (t->state == WAITING) {
        thread_drop(bucket(t->key), t);
        clear_timer(t);
    }
}
