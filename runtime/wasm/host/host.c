/* cloche._host: the hot path of a run in C. The way in Python does the same for what is unusual, and where this is not. */
#include "door.h"
#include "names.h"
#include "plain.h"

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

void clear(PyObject **places, size_t count)
{
    while (count-- > 0)
        replace(&places[count], NULL);
}

PyObject *pages_pack(PyObject *module, PyObject *args), *pages_unpack(PyObject *module, PyObject *args);

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
    return PyArg_ParseTuple(args, "KKKK", &engine.call, &engine.trap_new, &engine.memory_data, &engine.memory_size) ? none()
                                                                                                                    : NULL;
}

/* read(bytes) -> (value,), or None where it is left to Python. For tests: the ways in are Door and Runner. */
static PyObject *host_read(PyObject *module, PyObject *data)
{
    (void)module;
    const uint8_t *bytes = (uint8_t *)PyBytes_AsString(data);
    if (bytes == NULL)
        return NULL;
    Reader from = {bytes, bytes + PyBytes_Size(data)};
    PyObject *value = plain_read(&from);
    if (from.at != from.end)
        replace(&value, NULL);
    return value == NULL ? none() : Py_BuildValue("(N)", value);
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
    return plain_write(&to, value) ? PyBytes_FromStringAndSize((char *)buffer, to.at - buffer) : none();
}

/* copy(to, from, spans): bytes from one memory to the same places of another; the caller knows both, and the spans */
static PyObject *host_copy(PyObject *module, PyObject *args)
{
    (void)module;
    char *to, *from;
    unsigned long long start, end;
    PyObject *spans;
    if (!PyArg_ParseTuple(args, "KKO", &to, &from, &spans))
        return NULL;
    for (Py_ssize_t index = 0; index < PyList_Size(spans); index++) {
        if (!PyArg_ParseTuple(PyList_GetItem(spans, index), "KK", &start, &end))
            return NULL;
        memcpy(to + start, from + start, end - start);
    }
    return none();
}

static PyMethodDef host_methods[] = {
    {"copy", host_copy, METH_VARARGS, "Copy spans of a memory to another one."},
    {"bind", host_bind, METH_VARARGS, "Take the addresses of the engine's functions."},
    {"callbacks", door_callbacks, METH_NOARGS, "Return the moment on the clock of deadlines, and the addresses of the five imports, by name."},
    {"forget", runner_forget, METH_NOARGS, "In a forked child: no runner runs any more."},
    {"pack", pages_pack, METH_VARARGS, "Pack what of a memory differs from the image's."},
    {"unpack", pages_unpack, METH_VARARGS, "Undo pack."},
    {"read", host_read, METH_O, "Read a plain value."},
    {"write", host_write, METH_VARARGS, "Write a plain value."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef host_module = {
    PyModuleDef_HEAD_INIT, "_host", "The hot path of a run.", -1, host_methods, NULL, NULL, NULL, NULL,
};

static bool add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    bool done = type != NULL && PyModule_AddType(module, (PyTypeObject *)type) == 0;
    drop(type);
    return done;
}

PyMODINIT_FUNC PyInit__host(void);
PyMODINIT_FUNC PyInit__host(void)
{
    PyObject *module = PyModule_Create(&host_module);
    if (module != NULL && prepare() == 0 && add_type(module, &door_spec) && add_type(module, &runner_spec) &&
        PyModule_AddIntConstant(module, "VERSION", HOST_VERSION) == 0)
        return module;
    drop(module);
    return NULL;
}
