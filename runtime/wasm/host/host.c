/* cloche._host: the hot path of a run in C. The way in Python does the same for what is unusual, and where this is not. */
#include "door.h"
#include "names.h"
#include "plain.h"
#include "runner.h"

#include <string.h>

PyObject *names[NAMES_COUNT];

void replace(PyObject **place, PyObject *value)
{
    PyObject *before = *place;
    if (value != NULL)
        Py_IncRef(value);
    *place = value;
    drop(before);
}

static int prepare(void)
{
#define AS_TEXT(word) #word,
    const char *const texts[] = {NAMES(AS_TEXT)};
    for (int index = 0; index < NAMES_COUNT; index++)
        if ((names[index] = PyUnicode_InternFromString(texts[index])) == NULL)
            return -1;
    return calls_prepare() < 0 || runner_prepare() < 0 ? -1 : 0;
}

/* bind(call, trap_new, memory_data, memory_size): the addresses of Wasmtime's functions, once, before anything else */
static PyObject *host_bind(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long at[4];
    if (!PyArg_ParseTuple(args, "KKKK", &at[0], &at[1], &at[2], &at[3]))
        return NULL;
    _Static_assert(sizeof engine == sizeof at, "four pointers of 64 bits");
    memcpy(&engine, at, sizeof at);
    return none();
}

/* read(bytes) -> (value,), or None where it is left to Python. For tests: the ways in are Door and Runner. */
static PyObject *host_read(PyObject *module, PyObject *data)
{
    (void)module;
    const char *bytes = PyBytes_AsString(data);
    if (bytes == NULL)
        return NULL;
    Reader from = {(const uint8_t *)bytes, (const uint8_t *)bytes + PyBytes_Size(data)};
    PyObject *value = plain_read(&from);
    if (value != NULL && from.at == from.end)
        return Py_BuildValue("(N)", value);
    drop(value);
    return none();
}

/* write(value, room) -> bytes, or None where it is left to Python. For tests. */
static PyObject *host_write(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *value;
    unsigned short room;
    static uint8_t buffer[UINT16_MAX];
    if (!PyArg_ParseTuple(args, "OH", &value, &room))
        return NULL;
    Writer to = {buffer, buffer + room};
    if (plain_write(&to, value))
        return PyBytes_FromStringAndSize((char *)buffer, to.at - buffer);
    return none();
}

/* copy(to, from, spans): bytes from one memory to the same places of another; the caller knows both, and the spans */
static PyObject *host_copy(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long to, from, start, end;
    PyObject *spans;
    if (!PyArg_ParseTuple(args, "KKO", &to, &from, &spans))
        return NULL;
    for (Py_ssize_t index = 0; index < PyList_Size(spans); index++) {
        if (!PyArg_ParseTuple(PyList_GetItem(spans, index), "KK", &start, &end))
            return NULL;
        memcpy((char *)(uintptr_t)to + start, (char *)(uintptr_t)from + start, end - start);
    }
    return none();
}

static PyMethodDef host_methods[] = {
    {"copy", host_copy, METH_VARARGS, "Copy spans of a memory to another one."},
    {"bind", host_bind, METH_VARARGS, "Take the addresses of the engine's functions."},
    {"callbacks", door_callbacks, METH_NOARGS, "Return the addresses of the five imports, by name."},
    {"now", runner_now, METH_NOARGS, "Return the moment on the clock of deadlines."},
    {"forget", runner_forget, METH_NOARGS, "In a forked child: no runner runs any more."},
    {"read", host_read, METH_O, "Read a plain value."},
    {"write", host_write, METH_VARARGS, "Write a plain value."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef host_module = {
    PyModuleDef_HEAD_INIT, "_host", "The hot path of a run.", -1, host_methods, NULL, NULL, NULL, NULL,
};

static int add_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, name, type) < 0;
    drop(type);
    return failed;
}

PyMODINIT_FUNC PyInit__host(void);
PyMODINIT_FUNC PyInit__host(void)
{
    PyObject *module = PyModule_Create(&host_module);
    if (module == NULL)
        return NULL;
    if (prepare() < 0 || add_type(module, "Door", &door_spec) || add_type(module, "Runner", &runner_spec) ||
        PyModule_AddIntConstant(module, "VERSION", HOST_VERSION) < 0) {
        Py_DecRef(module);
        return NULL;
    }
    return module;
}
