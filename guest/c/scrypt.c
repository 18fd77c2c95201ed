/* The part of scrypt that takes its time and its memory, RFC 7914; the rest is in hashes.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cloche.h"

enum { WORDS = 16 }; /* of a Salsa20 block */

static uint32_t rotated(uint32_t word, int by) { return word << by | word >> (32 - by); }

static void quarter(uint32_t *x, int a, int b, int c, int d) {
    x[b] ^= rotated(x[a] + x[d], 7);
    x[c] ^= rotated(x[b] + x[a], 9);
    x[d] ^= rotated(x[c] + x[b], 13);
    x[a] ^= rotated(x[d] + x[c], 18);
}

/* Salsa20/8 of block ^ other, in place. */
static void salsa(uint32_t *block, const uint32_t *other) {
    uint32_t x[WORDS];
    for (int i = 0; i < WORDS; i++) x[i] = block[i] ^= other[i];
    for (int round = 0; round < 4; round++) {
        quarter(x, 0, 4, 8, 12), quarter(x, 5, 9, 13, 1), quarter(x, 10, 14, 2, 6), quarter(x, 15, 3, 7, 11);
        quarter(x, 0, 1, 2, 3), quarter(x, 5, 6, 7, 4), quarter(x, 10, 11, 8, 9), quarter(x, 15, 12, 13, 14);
    }
    for (int i = 0; i < WORDS; i++) block[i] += x[i];
}

/* The even blocks of the result come first, then the odd ones. */
static void mix_blocks(const uint32_t *from, uint32_t *to, size_t r) {
    uint32_t x[WORDS];
    memcpy(x, from + (2 * r - 1) * WORDS, sizeof x);
    for (size_t i = 0; i < 2 * r; i++) {
        salsa(x, from + i * WORDS);
        memcpy(to + (i / 2 + (i % 2 ? r : 0)) * WORDS, x, sizeof x);
    }
}

/* `block` and `spare` are 32 * r words, `table` n times as much. */
static void mix(uint32_t *block, uint32_t *spare, uint32_t *table, size_t n, size_t r) {
    size_t size = 2 * r * WORDS;
    for (size_t i = 0; i < n; i++) {
        memcpy(table + i * size, block, size * sizeof *block);
        mix_blocks(block, spare, r);
        memcpy(block, spare, size * sizeof *block);
    }
    for (size_t i = 0; i < n; i++) {
        const uint32_t *chosen = table + (block[size - WORDS] & (n - 1)) * size;
        for (size_t k = 0; k < size; k++) block[k] ^= chosen[k];
        mix_blocks(block, spare, r);
        memcpy(block, spare, size * sizeof *block);
    }
}

/* scrypt_mix(block, n, r): block is 128 * r bytes, n a power of two. */
PyObject *cloche_scrypt_mix(PyObject *module, PyObject *args) {
    (void)module;
    const char *data;
    Py_ssize_t length;
    unsigned int n, r;
    if (!PyArg_ParseTuple(args, "y#II", &data, &length, &n, &r)) return NULL;
    if (!n || n & (n - 1) || !r || (size_t)length / 128 != r || length % 128)
        return PyErr_Format(PyExc_ValueError, "scrypt_mix: a block of %zd bytes does not fit n=%u, r=%u", length, n, r);
    PyObject *result = PyBytes_FromStringAndSize(NULL, length);
    uint32_t *room = (size_t)n + 2 <= SIZE_MAX / 2 / (size_t)length ? PyMem_RawMalloc(((size_t)n + 2) * (size_t)length) : NULL;
    if (result && room) {
        size_t size = 2 * (size_t)r * WORDS;
        memcpy(room, data, (size_t)length);
        mix(room, room + size, room + 2 * size, n, r);
        memcpy(PyBytes_AS_STRING(result), room, (size_t)length);
    } else if (result) {
        Py_CLEAR(result);
        PyErr_NoMemory();
    }
    PyMem_RawFree(room);
    return result;
}
