/* msgpack to plain values. The bytes come from the host; whatever is not plain is left to the codec in Python, which
 * knows more and explains what is wrong. */
#include "plain.h"

#include <string.h>

#define DEEPEST 64

typedef struct {
    const unsigned char *at, *end;
    int depth;
} Cursor;

static size_t left(const Cursor *from) { return (size_t)(from->end - from->at); }

/* The next `size` bytes as a number, the highest first. */
static bool number(Cursor *from, int size, uint64_t *n) {
    if (left(from) < (size_t)size) return false;
    *n = 0;
    while (size--) *n = *n << 8 | *from->at++;
    return true;
}

static PyObject *read_unsigned(Cursor *from, int size) {
    uint64_t n;
    return number(from, size, &n) ? PyLong_FromUnsignedLongLong(n) : NULL;
}

static PyObject *read_signed(Cursor *from, int size) {
    uint64_t n;
    if (!number(from, size, &n)) return NULL;
    int unused = 64 - 8 * size;
    return PyLong_FromLongLong((int64_t)(n << unused) >> unused);
}

static PyObject *read_float(Cursor *from) {
    uint64_t bits;
    double value;
    if (!number(from, 8, &bits)) return NULL;
    memcpy(&value, &bits, sizeof value);
    return PyFloat_FromDouble(value);
}

static PyObject *read_text(Cursor *from, uint64_t size) {
    if (left(from) < size) return NULL;
    const char *text = (const char *)from->at;
    from->at += size;
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "surrogatepass");
}

static PyObject *read_blob(Cursor *from, uint64_t size) {
    if (left(from) < size) return NULL;
    const char *data = (const char *)from->at;
    from->at += size;
    return PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
}

static PyObject *take_value(Cursor *from);

static bool fill_list(Cursor *from, PyObject *list, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = take_value(from);
        if (!item) return false;
        PyList_SET_ITEM(list, i, item);
    }
    return true;
}

static PyObject *read_list(Cursor *from, uint64_t count) {
    if (left(from) < count || ++from->depth > DEEPEST) return NULL;
    PyObject *list = PyList_New((Py_ssize_t)count);
    if (list && !fill_list(from, list, (Py_ssize_t)count)) Py_CLEAR(list);
    from->depth--;
    return list;
}

static bool add_entry(Cursor *from, PyObject *dict) {
    PyObject *key = take_value(from);
    PyObject *value = key && PyUnicode_CheckExact(key) ? take_value(from) : NULL;
    bool added = value && PyDict_SetItem(dict, key, value) == 0;
    Py_XDECREF(key);
    Py_XDECREF(value);
    return added;
}

static PyObject *read_dict(Cursor *from, uint64_t count) {
    if (left(from) / 2 < count || ++from->depth > DEEPEST) return NULL;
    PyObject *dict = PyDict_New();
    while (dict && count--)
        if (!add_entry(from, dict)) Py_CLEAR(dict);
    from->depth--;
    return dict;
}

typedef PyObject *(*Reader)(Cursor *from, uint64_t count);

static PyObject *counted(Cursor *from, int size, Reader read_body) {
    uint64_t count;
    return number(from, size, &count) ? read_body(from, count) : NULL;
}

static PyObject *read_tagged(Cursor *from, unsigned char tag) {
    switch (tag) {
    case 0xc0: return Py_NewRef(Py_None);
    case 0xc2: return Py_NewRef(Py_False);
    case 0xc3: return Py_NewRef(Py_True);
    case 0xc4: case 0xc5: case 0xc6: return counted(from, 1 << (tag - 0xc4), read_blob);
    case 0xcb: return read_float(from);
    case 0xcc: case 0xcd: case 0xce: case 0xcf: return read_unsigned(from, 1 << (tag - 0xcc));
    case 0xd0: case 0xd1: case 0xd2: case 0xd3: return read_signed(from, 1 << (tag - 0xd0));
    case 0xd9: case 0xda: case 0xdb: return counted(from, 1 << (tag - 0xd9), read_text);
    case 0xdc: case 0xdd: return counted(from, 2 << (tag - 0xdc), read_list);
    case 0xde: case 0xdf: return counted(from, 2 << (tag - 0xde), read_dict);
    default: return NULL;
    }
}

static PyObject *take_value(Cursor *from) {
    if (!left(from)) return NULL;
    unsigned char tag = *from->at++;
    if (tag < 0x80) return PyLong_FromLong(tag);
    if (tag >= 0xe0) return PyLong_FromLong((signed char)tag);
    if (tag < 0x90) return read_dict(from, tag & 0x0f);
    if (tag < 0xa0) return read_list(from, tag & 0x0f);
    if (tag < 0xc0) return read_text(from, tag & 0x1f);
    return read_tagged(from, tag);
}

PyObject *plain_read(const char *data, size_t length) {
    Cursor from = {(const unsigned char *)data, (const unsigned char *)data + length, 0};
    PyObject *value = take_value(&from);
    if (value && left(&from)) Py_CLEAR(value);
    /* Text that is no UTF-8, for one, the codec explains better. */
    if (!value && PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_MemoryError)) PyErr_Clear();
    return value;
}
