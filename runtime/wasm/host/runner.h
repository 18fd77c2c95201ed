/* A session's runs, as long as they are usual ones: from the program's text to its result in one call. */
#ifndef CLOCHE_RUNNER_H
#define CLOCHE_RUNNER_H

#include "abi3.h"

/* To be raised with every change of what Python and C say to each other: runtime/wasm/native.py expects this one. */
#define HOST_VERSION 5

extern PyType_Spec runner_spec;

int runner_prepare(void);
PyObject *runner_now(PyObject *module, PyObject *unused);
PyObject *runner_forget(PyObject *module, PyObject *unused);

#endif
