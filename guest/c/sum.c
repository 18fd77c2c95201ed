/* What sum(), dict() and frozenset() do with each item, with their state between two of them: for a loop in Python
 * (guest/prelude/substitutes.py). The sums are those of bltinmodule.c to the last bit, whose ways of adding these are. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>

#include "cloche.h"

/* As long as all items were integers that fit, or all were floats and such integers, there is no object. The object is
 * a dict that pairs go into, whose number is `integer`, or a frozenset that members do. */
typedef enum { INTEGERS, FLOATS, OBJECTS, PAIRS, MEMBERS } Kind;

typedef struct {
    PyObject_HEAD
    Kind kind;
    Py_ssize_t integer;
    double number, lost;
    PyObject *object;
} Sum;

static void sum_dealloc(PyObject *self) {
    Py_XDECREF(((Sum *)self)->object);
    PyObject_Free(self);
}

/* Takes over a sum that is an object, as the beginning of what is to come. Steals it. */
static void begin(Sum *sum, PyObject *object, bool may_be_integer) {
    int overflow = 1;
    sum->kind = OBJECTS;
    if (may_be_integer && PyLong_CheckExact(object)) {
        sum->integer = PyLong_AsLongAndOverflow(object, &overflow);
        if (!overflow) sum->kind = INTEGERS;
    } else if (PyFloat_CheckExact(object)) {
        sum->number = PyFloat_AS_DOUBLE(object);
        sum->lost = 0.0;
        sum->kind = FLOATS;
    }
    sum->object = object;
    if (sum->kind != OBJECTS) Py_CLEAR(sum->object);
}

static double compensated(const Sum *sum) {
    return sum->lost && isfinite(sum->lost) ? sum->number + sum->lost : sum->number;
}

/* Returns whether the item could be added as an integer. */
static bool add_integer(Sum *sum, PyObject *item) {
    if (!PyLong_CheckExact(item) && !PyBool_Check(item)) return false;
    int overflow;
    Py_ssize_t value = PyLong_AsLongAndOverflow(item, &overflow), total;
    if (overflow || __builtin_add_overflow(sum->integer, value, &total)) return false;
    sum->integer = total;
    return true;
}

static bool add_number(Sum *sum, PyObject *item) {
    if (PyFloat_CheckExact(item)) {
        double x = PyFloat_AS_DOUBLE(item), total = sum->number + x;
        sum->lost += fabs(sum->number) >= fabs(x) ? (sum->number - total) + x : (x - total) + sum->number;
        sum->number = total;
        return true;
    }
    int overflow = 1;
    long value = PyLong_Check(item) ? PyLong_AsLongAndOverflow(item, &overflow) : 0;
    if (!overflow) sum->number += (double)value;
    return !overflow;
}

/* Adds one item as an object. What comes of it is no integer any more: as there, only floats are found anew. */
static PyObject *add_object(Sum *sum, PyObject *so_far, PyObject *item, bool may_be_float) {
    PyObject *total = so_far ? PyNumber_Add(so_far, item) : NULL;
    Py_XDECREF(so_far);
    if (!total) return NULL;
    sum->kind = OBJECTS;
    sum->object = NULL;
    if (may_be_float)
        begin(sum, total, false);
    else
        sum->object = total;
    Py_RETURN_NONE;
}

/* As PyDict_MergeFromSeq2() does. */
static PyObject *add_pair(Sum *sum, PyObject *item) {
    Py_ssize_t number = sum->integer++;
    PyObject *pair = PySequence_Fast(item, "");
    if (!pair) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "cannot convert dictionary update sequence element #%zd to a sequence", number);
        return NULL;
    }
    Py_ssize_t size = PySequence_Fast_GET_SIZE(pair);
    int failed = -1;
    if (size != 2) {
        PyErr_Format(PyExc_ValueError, "dictionary update sequence element #%zd has length %zd; 2 is required", number,
                     size);
    } else {
        PyObject *key = Py_NewRef(PySequence_Fast_GET_ITEM(pair, 0)), *value = Py_NewRef(PySequence_Fast_GET_ITEM(pair, 1));
        failed = PyDict_SetItem(sum->object, key, value);
        Py_DECREF(key);
        Py_DECREF(value);
    }
    Py_DECREF(pair);
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *sum_add(PyObject *self, PyObject *item) {
    Sum *sum = (Sum *)self;
    switch (sum->kind) {
    case PAIRS: return add_pair(sum, item);
    case MEMBERS: return PySet_Add(sum->object, item) < 0 ? NULL : Py_NewRef(Py_None);
    case INTEGERS:
        if (add_integer(sum, item)) Py_RETURN_NONE;
        return add_object(sum, PyLong_FromSsize_t(sum->integer), item, true);
    case FLOATS:
        if (add_number(sum, item)) Py_RETURN_NONE;
        return add_object(sum, PyFloat_FromDouble(compensated(sum)), item, false);
    default: {
        PyObject *so_far = sum->object;
        sum->object = NULL;
        return add_object(sum, so_far, item, false);
    }
    }
}

static PyObject *sum_value(PyObject *self, PyObject *none) {
    (void)none;
    Sum *sum = (Sum *)self;
    if (sum->kind == INTEGERS) return PyLong_FromSsize_t(sum->integer);
    return sum->kind == FLOATS ? PyFloat_FromDouble(compensated(sum)) : Py_NewRef(sum->object);
}

static PyMethodDef methods[] = {
    {"add", sum_add, METH_O, "Add an item. Not to be used again where this raises."},
    {"value", sum_value, METH_NOARGS, "Return the sum so far."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_cloche.Sum",
    .tp_basicsize = sizeof(Sum),
    .tp_dealloc = sum_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_methods = methods,
};

static Sum *new_sum(Kind kind) {
    if (PyType_Ready(&type) < 0) return NULL;
    Sum *sum = PyObject_New(Sum, &type);
    if (!sum) return NULL;
    sum->kind = kind;
    sum->integer = 0, sum->number = sum->lost = 0.0;
    sum->object = NULL;
    return sum;
}

PyObject *cloche_begin_sum(PyObject *module, PyObject *start) {
    (void)module;
    Sum *sum = new_sum(OBJECTS);
    if (sum) begin(sum, Py_NewRef(start), true);
    return (PyObject *)sum;
}

/* Takes the object. */
static PyObject *begin_with(Kind kind, PyObject *object) {
    Sum *sum = object ? new_sum(kind) : NULL;
    if (sum) sum->object = object;
    else Py_XDECREF(object);
    return (PyObject *)sum;
}

PyObject *cloche_begin_dict(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    return begin_with(PAIRS, PyDict_New());
}

PyObject *cloche_begin_frozenset(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    return begin_with(MEMBERS, PyFrozenSet_New(NULL));
}
