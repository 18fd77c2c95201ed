/* One guest's door: the call into it, and its five imports. */
#pragma once

#include <stdbool.h>

#include "abi3.h"
#include "calls.h"

/* A raw value of WebAssembly, as Wasmtime's unchecked calls take it. */
typedef union {
    int32_t i32;
    int64_t i64, both[2];
} Raw;

/* Wasmtime's functions that are used here; their addresses come from the library that wasmtime-py has loaded. */
typedef struct {
    void *(*call)(void *context, const void *function, Raw *values, size_t count, void **trap);
    void *(*trap_new)(const char *message, size_t size);
    uint8_t *(*memory_data)(void *context, const void *memory);
    size_t (*memory_size)(void *context, const void *memory);
} Engine;

extern Engine engine;

/* The three numbers of runtime/wasm/charging.py. */
enum { LEFT, LOOK_NOW, ENDED };

typedef struct Door {
    PyObject_HEAD
    void *context;
    const void *step, *inbox, *memory; /* wasmtime's handles, which Instance keeps alive */
    int64_t *meter;
    uint8_t *base; /* never moves: the engine is configured so */
    uint64_t size; /* what was seen last: a memory never shrinks */
    long long max_frame;
    union {
        struct {
            PyObject *host, *handlers; /* a GuestImports; the handlers behind it, if they are of Cloche's own kind */
            PyObject *serve, *must_end; /* handlers.call, or NULL for others; () -> bool: what a charge asks */
            PyObject *raised; /* the first exception of a callback, to be read once WebAssembly is left */
        };
        PyObject *parts[5];
    };
    Calls calls;
    bool (*opening)(void *run); /* called once, before the first import is served; NULL if there is none: see Runner */
    void *run;
    PyThreadState *thread;
    bool running, has_kept; /* the meter may be written by other threads, which hold the GIL; host.kept may be something */
} Door;

extern PyType_Spec door_spec, runner_spec;

/* Call a function of the guest without the GIL. Returns whether it ended well: `*packed` is its result then, and else
 * `*error` and `*trap` are what the engine said. An exception of a callback is in `raised`. */
bool door_enter(Door *door, const void *function, uint32_t argument, uint64_t *packed, void **error, void **trap);

/* Whether so many bytes lie in the guest's memory. */
bool door_spans(Door *door, uint64_t at, uint64_t size);

PyObject *door_callbacks(PyObject *module, PyObject *unused);

/* To be raised with every change of what Python and C say to each other: runtime/wasm/native.py expects this one. */
#define HOST_VERSION 6

int runner_prepare(void);
PyObject *runner_forget(PyObject *module, PyObject *unused);
