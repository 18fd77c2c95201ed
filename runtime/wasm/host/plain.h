/* Plain values, from the guest's bytes and to bytes: what runtime/values/codec.py does for them, and nothing else. */
#pragma once

#include "abi3.h"

typedef struct {
    const uint8_t *at, *end;
} Reader;

/* Reads one value: None, bool, int, float, str, bytes, list, and dict with text for keys. Returns a new reference.
 *
 * NULL means "not for me": anything else, and anything malformed. No exception is set then, unless memory ran out; the
 * codec in Python reads the message again, and says what it is. Nothing beyond `end` is read, and what a length
 * promises is not allocated unless as many bytes are there. */
PyObject *plain_read(Reader *from);

typedef struct {
    uint8_t *at, *end;
} Writer;

/* Writes one value as msgpack's packer does: 1 if it was written, 0 if it is not a plain one or finds no room; then
 * the codec in Python is asked. No exception is set. The type of each part is exactly one of the above, no subclass. */
int plain_write(Writer *to, PyObject *value);

/* Appends these bytes: 0 if they find no room. */
int plain_put(Writer *to, const void *data, size_t size);
