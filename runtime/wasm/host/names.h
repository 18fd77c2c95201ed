/* The attributes and texts that are used, as Python's own interned strings: name(holder) is one. */
#pragma once

#include "abi3.h"

#define NAMES(X) \
    X(args) X(calls_made) X(deadline) X(deferral) X(ended) X(greenlet) X(holder) X(hurries) X(kwargs) X(name) X(outcome) X(reason) \
    X(returned) X(running) X(seconds) X(started) X(stop) X(tool) X(used) X(value)

#define AS_NUMBER(word) NAME_##word,
enum { NAMES(AS_NUMBER) NAMES_COUNT };
extern PyObject *names[NAMES_COUNT];
#define name(word) names[NAME_##word]

/* Set a reference to another object, or to NULL. */
void replace(PyObject **place, PyObject *value);

/* Set so many references to NULL. */
void clear(PyObject **places, size_t count);
