/* Usual tool calls: short, of a tool that is called on this thread, with a short plain value. */
#pragma once

#include <stdbool.h>

#include "abi3.h"

/* What one run's calls need, from BridgeHandlers.usual_calls (runtime/bridge/handlers.py), which says what is what. */
typedef struct {
    bool asked, usual;
    union {
        struct {
            PyObject *run, *stop, *records, *memory, *tools, *start_call, *record_type, *finish, *suspends, *note;
        };
        PyObject *parts[10];
    };
    double deadline;
    long long max_calls, max_memory;
} Calls;

/* Bytes of a frame and of a reply up to which they are part of what every call costs: SHORT of bridge/host_memory.py. */
#define SHORT 32

int calls_prepare(void);

extern PyObject *no_text;

/* Forget all that is known: it is asked for again. */
void calls_forget(Calls *calls);

/* Answer a call frame. Returns the bytes of the reply, or NULL: with an exception set the run ends, and without one
 * nothing was done, and the whole frame is to be answered in Python. `handlers` is who is asked first. */
PyObject *calls_answer(Calls *calls, PyObject *handlers, const uint8_t *frame, uint32_t size);

/* The moment on the clock of time.perf_counter. */
double now(void);

/* Whether an attribute is this very object; false with an exception set if it cannot be read. */
bool is_still(PyObject *owner, PyObject *name, PyObject *expected);

/* Set an attribute to what was just made, and give that up. False with an exception set, or where nothing was made. */
bool set_made(PyObject *owner, PyObject *name, PyObject *made);
