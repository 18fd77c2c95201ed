/* Baking: objects of the image are made immortal. Their reference counts are then never written, so that a guest that
 * merely uses an object does not get a private copy of its page. What a program replaces in them is never freed. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cloche.h"

/* As in CPython's object.h for 32-bit builds. */
#define IMMORTAL ((Py_ssize_t)(UINT_MAX >> 2))

typedef struct {
    PyObject **items;
    size_t count, room;
} Stack;

static int push(PyObject *object, void *stack) {
    Stack *to = stack;
    if (!object || _Py_IsImmortal(object)) return 0;
    if (to->count == to->room) {
        to->room = to->room ? 2 * to->room : 4096;
        PyObject **items = PyMem_RawRealloc(to->items, to->room * sizeof *items);
        if (!items) return -1;
        to->items = items;
    }
    object->ob_refcnt = IMMORTAL;
    to->items[to->count++] = object;
    return 0;
}

/* Code objects are not of the garbage collector's. */
static int push_code(PyCodeObject *code, Stack *stack) {
    PyObject *parts[] = {code->co_consts,      code->co_names,   code->co_exceptiontable, code->co_localsplusnames,
                         code->co_localspluskinds, code->co_filename, code->co_name,     code->co_qualname,
                         code->co_linetable};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (push(parts[i], stack) < 0) return -1;
    return 0;
}

static int push_parts(PyObject *object, Stack *stack) {
    PyTypeObject *type = Py_TYPE(object);
    if (push((PyObject *)type, stack) < 0) return -1;
    if (PyCode_Check(object)) return push_code((PyCodeObject *)object, stack);
    return PyObject_IS_GC(object) && type->tp_traverse ? type->tp_traverse(object, push, stack) : 0;
}

static int spread(PyObject *list, Stack *stack) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        if (push(PyList_GET_ITEM(list, i), stack) < 0) return -1;
    while (stack->count)
        if (push_parts(stack->items[--stack->count], stack) < 0) return -1;
    return 0;
}

PyObject *cloche_immortalize(PyObject *module, PyObject *objects) {
    (void)module;
    if (!PyList_Check(objects)) return PyErr_Format(PyExc_TypeError, "expected a list of objects");
    Stack stack = {0};
    int failed = spread(objects, &stack);
    PyMem_RawFree(stack.items);
    if (failed) return PyErr_NoMemory();
    Py_RETURN_NONE;
}
