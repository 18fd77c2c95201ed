/* Plain values as msgpack: what most calls carry, without the codec in Python. */
#ifndef CLOCHE_PLAIN_H
#define CLOCHE_PLAIN_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

typedef struct {
    char *data;
    size_t length, room;
    bool owned; /* data is on the heap, and plain_free() frees it */
} Buffer;

/* The one buffer that most messages fit in. Nothing that fills a Buffer runs Python code, so it is never in use twice. */
Buffer plain_buffer(void);
void plain_free(Buffer *buffer);

/* All return false where there is no memory, or where the value is not plain; no exception is set. */
bool plain_bytes(Buffer *buffer, const void *data, size_t length);
bool plain_items(Buffer *buffer, PyObject *const *items, Py_ssize_t count);
bool plain_value(Buffer *buffer, PyObject *value);

/* The value that exactly these bytes hold. NULL where it is not plain; an exception is set only if memory ran out. */
PyObject *plain_read(const char *data, size_t length);

#endif
