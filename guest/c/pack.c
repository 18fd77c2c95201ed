/* Plain values to msgpack: None, bool, int of 64 bits, float, str, bytes, list, dict with str keys; exact types only.
 * Byte for byte what the codec in Python (guest/prelude/values) writes for them, at a tenth of its price. */
#include "plain.h"

#include <string.h>

/* Deeper values are left to the codec, which counts, and explains where it refuses. */
#define DEEPEST 64

static char static_room[64 * 1024];

Buffer plain_buffer(void) { return (Buffer){static_room, 0, sizeof static_room, false}; }

void plain_free(Buffer *buffer) {
    if (buffer->owned) PyMem_RawFree(buffer->data);
    *buffer = (Buffer){0};
}

static bool grow(Buffer *buffer, size_t more) {
    size_t room = buffer->room;
    while (room - buffer->length < more) {
        if (room > SIZE_MAX / 2) return false;
        room *= 2;
    }
    char *data = PyMem_RawRealloc(buffer->owned ? buffer->data : NULL, room);
    if (!data) return false;
    if (!buffer->owned) memcpy(data, buffer->data, buffer->length);
    *buffer = (Buffer){data, buffer->length, room, true};
    return true;
}

bool plain_bytes(Buffer *buffer, const void *data, size_t length) {
    if (buffer->room - buffer->length < length && !grow(buffer, length)) return false;
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    return true;
}

/* One tag, then the low `size` bytes of `number`, the highest first. */
static bool tagged(Buffer *buffer, unsigned char tag, uint64_t number, int size) {
    unsigned char bytes[9] = {tag};
    for (int i = size; i; i--, number >>= 8) bytes[i] = (unsigned char)number;
    return plain_bytes(buffer, bytes, (size_t)size + 1);
}

static bool pack_unsigned(Buffer *buffer, uint64_t n) {
    if (n < 0x80) return tagged(buffer, (unsigned char)n, 0, 0);
    if (n <= UINT8_MAX) return tagged(buffer, 0xcc, n, 1);
    if (n <= UINT16_MAX) return tagged(buffer, 0xcd, n, 2);
    if (n <= UINT32_MAX) return tagged(buffer, 0xce, n, 4);
    return tagged(buffer, 0xcf, n, 8);
}

static bool pack_negative(Buffer *buffer, int64_t n) {
    if (n >= -32) return tagged(buffer, (unsigned char)n, 0, 0);
    if (n >= INT8_MIN) return tagged(buffer, 0xd0, (uint64_t)n, 1);
    if (n >= INT16_MIN) return tagged(buffer, 0xd1, (uint64_t)n, 2);
    if (n >= INT32_MIN) return tagged(buffer, 0xd2, (uint64_t)n, 4);
    return tagged(buffer, 0xd3, (uint64_t)n, 8);
}

static bool pack_int(Buffer *buffer, PyObject *value) {
    int overflow;
    int64_t n = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow) return n < 0 ? pack_negative(buffer, n) : pack_unsigned(buffer, (uint64_t)n);
    if (overflow < 0) return false;
    uint64_t big = PyLong_AsUnsignedLongLong(value);
    if (!PyErr_Occurred()) return pack_unsigned(buffer, big);
    PyErr_Clear();
    return false;
}

static bool pack_float(Buffer *buffer, double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return tagged(buffer, 0xcb, bits, 8);
}

/* A length behind the shortest of its tags: one that holds lengths below `few`, then those of 8 (where there is one),
 * 16 and 32 bits. */
static bool pack_length(Buffer *buffer, size_t n, unsigned char small, size_t few, unsigned char tag8, unsigned char tag16) {
    if (n < few) return tagged(buffer, (unsigned char)(small | n), 0, 0);
    if (tag8 && n <= UINT8_MAX) return tagged(buffer, tag8, n, 1);
    if (n <= UINT16_MAX) return tagged(buffer, tag16, n, 2);
    return tagged(buffer, (unsigned char)(tag16 + 1), n, 4);
}

static bool pack_text(Buffer *buffer, PyObject *value) {
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    if (!text) { /* a lone surrogate */
        PyErr_Clear();
        return false;
    }
    return pack_length(buffer, (size_t)size, 0xa0, 32, 0xd9, 0xda) && plain_bytes(buffer, text, (size_t)size);
}

static bool pack_blob(Buffer *buffer, PyObject *value) {
    size_t size = (size_t)PyBytes_GET_SIZE(value);
    return pack_length(buffer, size, 0, 0, 0xc4, 0xc5) && plain_bytes(buffer, PyBytes_AS_STRING(value), size);
}

static bool pack(Buffer *buffer, PyObject *value, int depth);

static bool pack_items(Buffer *buffer, PyObject *const *items, Py_ssize_t count, int depth) {
    if (!pack_length(buffer, (size_t)count, 0x90, 16, 0, 0xdc)) return false;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!pack(buffer, items[i], depth + 1)) return false;
    return true;
}

static bool pack_dict(Buffer *buffer, PyObject *value, int depth) {
    if (!pack_length(buffer, (size_t)PyDict_GET_SIZE(value), 0x80, 16, 0, 0xde)) return false;
    PyObject *key, *item;
    for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &item);)
        if (!PyUnicode_CheckExact(key) || !pack_text(buffer, key) || !pack(buffer, item, depth + 1)) return false;
    return true;
}

static bool pack(Buffer *buffer, PyObject *value, int depth) {
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyLong_Type) return pack_int(buffer, value);
    if (type == &PyUnicode_Type) return pack_text(buffer, value);
    if (value == Py_None) return tagged(buffer, 0xc0, 0, 0);
    if (type == &PyBool_Type) return tagged(buffer, value == Py_True ? 0xc3 : 0xc2, 0, 0);
    if (type == &PyFloat_Type) return pack_float(buffer, PyFloat_AS_DOUBLE(value));
    if (type == &PyBytes_Type) return pack_blob(buffer, value);
    if (depth == DEEPEST) return false;
    if (type == &PyDict_Type) return pack_dict(buffer, value, depth);
    if (type != &PyList_Type) return false;
    return pack_items(buffer, ((PyListObject *)value)->ob_item, PyList_GET_SIZE(value), depth);
}

bool plain_value(Buffer *buffer, PyObject *value) { return pack(buffer, value, 0); }

bool plain_items(Buffer *buffer, PyObject *const *items, Py_ssize_t count) { return pack_items(buffer, items, count, 0); }
