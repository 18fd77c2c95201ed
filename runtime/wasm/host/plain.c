#include "plain.h"

#include <stdbool.h>
#include <string.h>

/* Containers inside one another, as in runtime/values/codes.py it is 200: what is deeper is left to Python. */
#define MAX_DEPTH 64

static PyObject *read_at(Reader *from, int depth);

static bool has(const Reader *from, uint64_t count)
{
    return (uint64_t)(from->end - from->at) >= count;
}

static PyObject *read_string(Reader *from, uint64_t size, bool is_text)
{
    if (!has(from, size))
        return NULL;
    const char *at = (const char *)from->at;
    from->at += size;
    /* NULL for a lone surrogate, which crosses, too: Python reads it. */
    return is_text ? PyUnicode_DecodeUTF8(at, (Py_ssize_t)size, NULL) : PyBytes_FromStringAndSize(at, (Py_ssize_t)size);
}

static PyObject *read_list(Reader *from, uint64_t count, int depth)
{
    /* Each item takes a byte or more. */
    if (depth == MAX_DEPTH || !has(from, count))
        return NULL;
    PyObject *list = PyList_New((Py_ssize_t)count);
    if (list == NULL)
        return NULL;
    for (uint64_t index = 0; index < count; index++) {
        PyObject *item = read_at(from, depth + 1);
        if (item == NULL) {
            Py_DecRef(list);
            return NULL;
        }
        PyList_SetItem(list, (Py_ssize_t)index, item);
    }
    return list;
}

static bool read_entry(Reader *from, PyObject *dict, int depth)
{
    PyObject *key = read_at(from, depth);
    bool done = false;
    /* Text alone: its hash is keyed for each process, so that no sender can make keys collide. */
    if (key != NULL && Py_TYPE(key) == &PyUnicode_Type) {
        PyObject *value = read_at(from, depth);
        done = value != NULL && PyDict_SetItem(dict, key, value) == 0;
        drop(value);
    }
    drop(key);
    return done;
}

static PyObject *read_dict(Reader *from, uint64_t count, int depth)
{
    if (depth == MAX_DEPTH || !has(from, 2 * count))
        return NULL;
    PyObject *dict = PyDict_New();
    if (dict == NULL)
        return NULL;
    while (count-- > 0)
        if (!read_entry(from, dict, depth + 1)) {
            Py_DecRef(dict);
            return NULL;
        }
    return dict;
}

/* Bytes of the number that stands behind each of the tags 0xc0 to 0xdf; 0 for those that have none, or are not plain. */
static const uint8_t LENGTHS[32] = {
    [0x04] = 1, [0x05] = 2, [0x06] = 4,             /* bytes */
    [0x0b] = 8,                                     /* floats */
    [0x0c] = 1, [0x0d] = 2, [0x0e] = 4, [0x0f] = 8, /* unsigned */
    [0x10] = 1, [0x11] = 2, [0x12] = 4, [0x13] = 8, /* signed */
    [0x19] = 1, [0x1a] = 2, [0x1b] = 4,             /* text */
    [0x1c] = 2, [0x1d] = 4,                         /* lists */
    [0x1e] = 2, [0x1f] = 4,                         /* dicts */
};

static PyObject *read_tagged(Reader *from, uint8_t tag, int depth)
{
    int size = LENGTHS[tag & 31];
    if (!has(from, (uint64_t)size))
        return NULL;
    union { uint64_t bits; double number; } of = {0};
    for (int index = 0; index < size; index++)
        of.bits = of.bits << 8 | *from->at++;
    uint64_t value = of.bits;
    switch (tag) {
    case 0xc0: return none();
    case 0xc2: case 0xc3: return PyBool_FromLong(tag & 1);
    case 0xc4: case 0xc5: case 0xc6: return read_string(from, value, false);
    case 0xcb: return PyFloat_FromDouble(of.number);
    case 0xcc: case 0xcd: case 0xce: case 0xcf: return PyLong_FromUnsignedLongLong(value);
    case 0xd0: case 0xd1: case 0xd2: case 0xd3:
        return PyLong_FromLongLong((int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size));
    case 0xd9: case 0xda: case 0xdb: return read_string(from, value, true);
    case 0xdc: case 0xdd: return read_list(from, value, depth);
    case 0xde: case 0xdf: return read_dict(from, value, depth);
    default: return NULL;
    }
}

static PyObject *read_at(Reader *from, int depth)
{
    if (!has(from, 1))
        return NULL;
    uint8_t tag = *from->at++;
    if (tag < 0x80)
        return PyLong_FromLong(tag);
    if (tag >= 0xe0)
        return PyLong_FromLong((int8_t)tag);
    if (tag >= 0xc0)
        return read_tagged(from, tag, depth);
    if (tag >= 0xa0)
        return read_string(from, tag & 31, true);
    if (tag >= 0x90)
        return read_list(from, tag & 15, depth);
    return read_dict(from, tag & 15, depth);
}

PyObject *plain_read(Reader *from)
{
    PyObject *value = read_at(from, 0);
    if (value == NULL && PyErr_Occurred())
        PyErr_Clear();
    return value;
}

static int write_at(Writer *to, PyObject *value, int depth);

int plain_put(Writer *to, const void *data, size_t size)
{
    if ((size_t)(to->end - to->at) < size)
        return 0;
    memcpy(to->at, data, size);
    to->at += size;
    return 1;
}

static int put_tag(Writer *to, int tag, uint64_t value, int size)
{
    uint8_t bytes[9];
    bytes[0] = (uint8_t)tag;
    for (int index = size; index > 0; index--, value >>= 8)
        bytes[index] = (uint8_t)value;
    return plain_put(to, bytes, (size_t)size + 1);
}

static int write_int(Writer *to, PyObject *value)
{
    int overflow, step = 0;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow)
        return 0;
    if (number >= -32 && number < 0x80)
        return put_tag(to, (uint8_t)number, 0, 0);
    /* In the fewest of 1, 2, 4 and 8 bytes, of which a negative one needs a bit for its sign. */
    uint64_t bits = number < 0 ? (uint64_t)~number << 1 : (uint64_t)number;
    while (step < 3 && bits >> (8 << step))
        step++;
    return put_tag(to, (number < 0 ? 0xd0 : 0xcc) + step, (uint64_t)number, 1 << step);
}

/* The head of text, bytes, a list or a dict: the size within the tag if it is below `within`, else in as few bytes as
 * it takes; `tags` are those for 1, 2 and 4 bytes, 0 for one that there is not. */
static int put_size(Writer *to, Py_ssize_t size, int tag, Py_ssize_t within, const int tags[3])
{
    if (size < within)
        return put_tag(to, tag | (int)size, 0, 0);
    if (size <= 0xff && tags[0])
        return put_tag(to, tags[0], (uint64_t)size, 1);
    if (size <= 0xffff)
        return put_tag(to, tags[1], (uint64_t)size, 2);
    return (uint64_t)size <= UINT32_MAX ? put_tag(to, tags[2], (uint64_t)size, 4) : 0;
}

static int write_text(Writer *to, PyObject *value)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text == NULL) {
        /* A lone surrogate. */
        PyErr_Clear();
        return 0;
    }
    return put_size(to, size, 0xa0, 32, (const int[]){0xd9, 0xda, 0xdb}) && plain_put(to, text, (size_t)size);
}

static int write_list(Writer *to, PyObject *value, int depth)
{
    Py_ssize_t count = PyList_Size(value);
    if (!put_size(to, count, 0x90, 16, (const int[]){0, 0xdc, 0xdd}))
        return 0;
    /* Nothing below runs Python code, so that no list changes meanwhile; and the GIL is held. */
    for (Py_ssize_t index = 0; index < count; index++)
        if (!write_at(to, PyList_GetItem(value, index), depth + 1))
            return 0;
    return 1;
}

static int write_dict(Writer *to, PyObject *value, int depth)
{
    if (!put_size(to, PyDict_Size(value), 0x80, 16, (const int[]){0, 0xde, 0xdf}))
        return 0;
    Py_ssize_t place = 0;
    PyObject *key, *item;
    while (PyDict_Next(value, &place, &key, &item))
        if (Py_TYPE(key) != &PyUnicode_Type || !write_text(to, key) || !write_at(to, item, depth + 1))
            return 0;
    return 1;
}

static int write_at(Writer *to, PyObject *value, int depth)
{
    PyTypeObject *type = Py_TYPE(value);
    if (value == Py_None || value == Py_True || value == Py_False)
        return put_tag(to, value == Py_None ? 0xc0 : value == Py_False ? 0xc2 : 0xc3, 0, 0);
    if (type == &PyLong_Type)
        return write_int(to, value);
    if (type == &PyUnicode_Type)
        return write_text(to, value);
    if (type == &PyFloat_Type) {
        double number = PyFloat_AsDouble(value);
        uint64_t bits;
        memcpy(&bits, &number, sizeof bits);
        return put_tag(to, 0xcb, bits, 8);
    }
    if (type == &PyBytes_Type) {
        Py_ssize_t size = PyBytes_Size(value);
        return put_size(to, size, 0, 0, (const int[]){0xc4, 0xc5, 0xc6}) && plain_put(to, PyBytes_AsString(value), (size_t)size);
    }
    if (depth == MAX_DEPTH)
        return 0;
    if (type == &PyList_Type)
        return write_list(to, value, depth);
    return type == &PyDict_Type && write_dict(to, value, depth);
}

int plain_write(Writer *to, PyObject *value)
{
    return write_at(to, value, 0);
}
