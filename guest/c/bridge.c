/* The built-in module _cloche: the Python side of the door. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cloche.h"
#include "tree.h"

/* Most replies fit here; a longer one is fetched with host_take(). */
static char reply_room[64 * 1024];

static PyObject *step; /* bytes -> bytes, set by the prelude */

static PyObject *bridge_call(PyObject *module, PyObject *frame) {
    (void)module;
    char *data;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(frame, &data, &n) < 0) return NULL;
    int32_t length = host_call(data, (int32_t)n, reply_room, sizeof reply_room);
    if (length < 0) return PyErr_Format(PyExc_RuntimeError, "the host refused the call (%d)", (int)length);
    if ((size_t)length <= sizeof reply_room) return PyBytes_FromStringAndSize(reply_room, length);
    PyObject *reply = PyBytes_FromStringAndSize(NULL, length);
    if (reply) host_take(PyBytes_AS_STRING(reply));
    return reply;
}

static PyObject *bridge_write(PyObject *module, PyObject *args) {
    (void)module;
    int stream;
    const char *data;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "iy#", &stream, &data, &n)) return NULL;
    if (stream != 1 && stream != 2) return PyErr_Format(PyExc_ValueError, "stream is 1 or 2, not %d", stream);
    host_write(stream, data, (int32_t)n);
    Py_RETURN_NONE;
}

static PyObject *bridge_set_step(PyObject *module, PyObject *function) {
    (void)module;
    if (!PyCallable_Check(function)) return PyErr_Format(PyExc_TypeError, "step must be callable");
    Py_XSETREF(step, Py_NewRef(function));
    Py_RETURN_NONE;
}

static PyObject *bridge_fs_limits(PyObject *module, PyObject *args) {
    (void)module;
    unsigned int files;
    unsigned long long bytes;
    if (!PyArg_ParseTuple(args, "IK", &files, &bytes)) return NULL;
    tree_limits(files, bytes);
    Py_RETURN_NONE;
}

PyObject *cloche_bridge_step(PyObject *request) { return step ? cloche_suspendable_step(step, request) : NULL; }

static PyMethodDef methods[] = {
    {"call", bridge_call, METH_O, "call(frame: bytes) -> bytes: one bridge call, answered by the host."},
    {"write", bridge_write, METH_VARARGS, "write(stream: int, data: bytes): output, stream 1 or 2."},
    {"set_step", bridge_set_step, METH_O, "set_step(step): what handles the host's requests."},
    {"fs_limits", bridge_fs_limits, METH_VARARGS, "fs_limits(files, bytes): caps of the memory file system."},
    {"blocked_at", cloche_blocked_at, METH_NOARGS, "blocked_at(): the frame that called the C code above, or None."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_cloche", .m_doc = "The bridge to the host.", .m_size = -1, .m_methods = methods,
};

PyObject *cloche_bridge_module(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_Add(module, "suspend", cloche_suspend_object()) < 0) Py_CLEAR(module);
    return module;
}
