/* The part of Python's stable ABI (PEP 384, as of 3.11) that is used here, declared once more: so the extension is built
 * without Python's headers, which many machines lack, and for any platform. tests/build/real/test_host.py compares
 * the declarations with the real headers where they are. */
#pragma once

#ifdef CLOCHE_REAL_HEADERS
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#else
#include <stddef.h>
#include <stdint.h>

typedef intptr_t Py_ssize_t;
typedef Py_ssize_t Py_hash_t;
typedef struct _object PyObject;
typedef struct _typeobject PyTypeObject;
typedef struct _ts PyThreadState;
struct _object {
    Py_ssize_t ob_refcnt;
    PyTypeObject *ob_type;
};
#define PyObject_HEAD PyObject ob_base;
#define Py_TYPE(object) (((PyObject *)(object))->ob_type)

typedef struct {
    void *buf;
    PyObject *obj;
    Py_ssize_t len, itemsize;
    int readonly, ndim;
    char *format;
    Py_ssize_t *shape, *strides, *suboffsets;
    void *internal;
} Py_buffer;

typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);
typedef struct PyMethodDef {
    const char *ml_name;
    PyCFunction ml_meth;
    int ml_flags;
    const char *ml_doc;
} PyMethodDef;
enum { METH_VARARGS = 1, METH_NOARGS = 4, METH_O = 8, METH_FASTCALL = 128 };

typedef struct PyModuleDef {
    PyObject ob_base;
    PyObject *(*m_init)(void);
    Py_ssize_t m_index;
    PyObject *m_copy;
    const char *m_name, *m_doc;
    Py_ssize_t m_size;
    PyMethodDef *m_methods;
    void *m_slots, *m_traverse, *m_clear, *m_free;
} PyModuleDef;
#define PyModuleDef_HEAD_INIT {1, NULL}, NULL, 0, NULL

typedef struct {
    int slot;
    void *pfunc;
} PyType_Slot;
typedef struct {
    const char *name;
    int basicsize, itemsize;
    unsigned int flags;
    PyType_Slot *slots;
} PyType_Spec;
enum { Py_tp_dealloc = 52, Py_tp_doc = 56, Py_tp_methods = 64, Py_tp_new = 65, Py_tp_free = 74 };
#define Py_TPFLAGS_DEFAULT (1UL << 18)

extern PyObject _Py_NoneStruct, _Py_TrueStruct, _Py_FalseStruct;
extern PyTypeObject PyBytes_Type, PyDict_Type, PyFloat_Type, PyList_Type, PyLong_Type, PyTuple_Type, PyUnicode_Type;
extern PyObject *PyExc_RuntimeError, *PyExc_TypeError;
#define Py_None (&_Py_NoneStruct)
#define Py_True (&_Py_TrueStruct)
#define Py_False (&_Py_FalseStruct)

void Py_IncRef(PyObject *), Py_DecRef(PyObject *), PyBuffer_Release(Py_buffer *);

PyObject *PyErr_Occurred(void), *PyErr_NoMemory(void);
void PyErr_Clear(void), PyErr_SetString(PyObject *, const char *);
void PyErr_Fetch(PyObject **, PyObject **, PyObject **), PyErr_NormalizeException(PyObject **, PyObject **, PyObject **);
int PyException_SetTraceback(PyObject *, PyObject *);

PyThreadState *PyEval_SaveThread(void);
void PyEval_RestoreThread(PyThreadState *);
unsigned long PyThread_get_thread_ident(void);

PyObject *PyBool_FromLong(long), *PyLong_FromLong(long), *PyLong_FromLongLong(long long), *PyLong_FromUnsignedLongLong(unsigned long long);
long long PyLong_AsLongLong(PyObject *), PyLong_AsLongLongAndOverflow(PyObject *, int *);
PyObject *PyFloat_FromDouble(double);
double PyFloat_AsDouble(PyObject *);

PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t);
char *PyBytes_AsString(PyObject *);
PyObject *PyUnicode_DecodeUTF8(const char *, Py_ssize_t, const char *), *PyUnicode_InternFromString(const char *);
const char *PyUnicode_AsUTF8AndSize(PyObject *, Py_ssize_t *);

PyObject *PyTuple_New(Py_ssize_t), *PyTuple_GetItem(PyObject *, Py_ssize_t);
PyObject *PyList_New(Py_ssize_t), *PyList_GetItem(PyObject *, Py_ssize_t);
int PyList_SetItem(PyObject *, Py_ssize_t, PyObject *), PyList_Append(PyObject *, PyObject *);
PyObject *PyDict_New(void), *PyDict_GetItemWithError(PyObject *, PyObject *);
int PyDict_SetItem(PyObject *, PyObject *, PyObject *), PyDict_Next(PyObject *, Py_ssize_t *, PyObject **, PyObject **);
int PySet_Add(PyObject *, PyObject *), PySet_Discard(PyObject *, PyObject *);
Py_ssize_t PyBytes_Size(PyObject *), PyList_Size(PyObject *), PyDict_Size(PyObject *), PySet_Size(PyObject *);

PyObject *PyObject_GetAttr(PyObject *, PyObject *);
int PyObject_SetAttr(PyObject *, PyObject *, PyObject *), PyObject_IsTrue(PyObject *);
Py_hash_t PyObject_Hash(PyObject *);
PyObject *PyObject_CallNoArgs(PyObject *), *PyObject_CallFunctionObjArgs(PyObject *, ...);
PyObject *PyObject_CallMethod(PyObject *, const char *, const char *, ...), *Py_BuildValue(const char *, ...);
int PyArg_ParseTuple(PyObject *, const char *, ...);

PyObject *PyModule_Create2(PyModuleDef *, int), *PyType_FromSpec(PyType_Spec *);
int PyModule_AddType(PyObject *, PyTypeObject *), PyModule_AddIntConstant(PyObject *, const char *, long);
PyObject *PyType_GenericAlloc(PyTypeObject *, Py_ssize_t);
void *PyType_GetSlot(PyTypeObject *, int), *PyMem_Malloc(size_t), PyMem_Free(void *);
#define PyModule_Create(definition) PyModule_Create2(definition, 3) /* abi3's PYTHON_ABI_VERSION */

#define PyMODINIT_FUNC __attribute__((visibility("default"))) PyObject *

#endif

/* Give a reference up, if there is one. */
static inline void drop(void *object)
{
    if (object != NULL)
        Py_DecRef((PyObject *)object);
}

static inline PyObject *none(void)
{
    Py_IncRef(Py_None);
    return Py_None;
}

/* The specification of a type, by the prefix of its functions. */
#define TYPE_OF(prefix, struct, name, text)                                                                             \
    static PyType_Slot prefix##_slots[] = {{Py_tp_new, (void *)prefix##_new}, {Py_tp_dealloc, (void *)prefix##_dealloc}, \
                                           {Py_tp_methods, prefix##_methods}, {Py_tp_doc, text}, {0, NULL}};             \
    PyType_Spec prefix##_spec = {name, sizeof(struct), 0, Py_TPFLAGS_DEFAULT, prefix##_slots}
