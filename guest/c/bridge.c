/* The built-in module _cloche: the Python side of the door. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>

#include "cloche.h"
#include "cloche_errno.h"
#include "memfs.h"
#include "plain.h"
#include "threads.h"

/* Most replies fit here; a longer one is fetched with host_take(). */
static char reply_room[64 * 1024];

static PyObject *step; /* bytes -> bytes, set by the prelude */

/* The reply of this length as bytes, or NULL with an exception. */
static PyObject *reply_bytes(int32_t length) {
    if ((size_t)length <= sizeof reply_room) return PyBytes_FromStringAndSize(reply_room, length);
    PyObject *reply = PyBytes_FromStringAndSize(NULL, length);
    if (reply) host_take(PyBytes_AS_STRING(reply));
    return reply;
}

/* A call that the program has left at: what was sent is freed when the reply has been read, as without that. */
static struct {
    PyObject *frame; /* of call(); else it is in the buffer, of ask() */
    Buffer buffer;
} left;

static int32_t refused(int32_t replied) {
    if (replied < 0) PyErr_Format(PyExc_RuntimeError, "the host refused the call (%d)", (int)replied);
    return replied;
}

/* Takes the reply to a call that had none at first; the host says when, or waits for it. */
static int32_t collect(int32_t how) { return refused(host_call(AT_HOST(how), 0, reply_room, sizeof reply_room)); }

/* Sends a frame and returns the length of the reply, or -1 with an exception; NOT_YET where the program leaves. */
static int32_t send(const char *frame, size_t length) {
    if (length > INT32_MAX) return PyErr_NoMemory(), -1;
    int32_t replied = host_call(frame, (int32_t)length, reply_room, sizeof reply_room);
    if (replied == NOT_YET) return cloche_leaves() ? NOT_YET : collect(STAYED);
    return refused(replied);
}

static PyObject *bridge_call(PyObject *module, PyObject *frame) {
    (void)module;
    char *data;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(frame, &data, &n) < 0) return NULL;
    int32_t length = send(data, (size_t)n);
    if (length == NOT_YET) {
        left.frame = Py_NewRef(frame);
        return cloche_unanswered();
    }
    return length < 0 ? NULL : reply_bytes(length);
}

/* The value of a reply [0, value]. NULL for every other reply; an exception is set only if memory ran out. */
static PyObject *plain_reply(const char *data, size_t length) {
    bool returned = length > 2 && data[0] == '\x92' && data[1] == '\x00';
    return returned ? plain_read(data + 2, length - 2) : NULL;
}

static PyObject *long_reply(int32_t length) {
    PyObject *reply = reply_bytes(length);
    if (!reply) return NULL;
    PyObject *value = plain_reply(PyBytes_AS_STRING(reply), (size_t)length);
    PyObject *result = value || PyErr_Occurred() ? value : PyTuple_Pack(1, reply);
    Py_DECREF(reply);
    return result;
}

/* The answer of ask() that a reply of this length holds. */
static PyObject *answer_of(int32_t length) {
    if (length < 0) return NULL;
    if ((size_t)length > sizeof reply_room) return long_reply(length);
    PyObject *value = plain_reply(reply_room, (size_t)length);
    return value || PyErr_Occurred() ? value : long_reply(length);
}

/* Frees the frame, unless the program leaves. */
static PyObject *exchange(Buffer *frame) {
    int32_t length = send(frame->data, frame->length);
    if (length == NOT_YET) {
        left.buffer = *frame;
        return cloche_unanswered();
    }
    PyObject *answer = answer_of(length);
    plain_free(frame);
    return answer;
}

/* What the call returns that the program has left at. */
PyObject *cloche_answer(void) {
    PyObject *answer;
    if (left.frame) {
        int32_t length = collect(CALLED);
        answer = length < 0 ? NULL : reply_bytes(length);
        Py_CLEAR(left.frame);
    } else {
        answer = answer_of(collect(ASKED));
        plain_free(&left.buffer);
    }
    return answer;
}

static size_t cap_of(PyObject *cap) { return cap == Py_None ? SIZE_MAX : PyLong_AsSize_t(cap); }

static PyObject *bridge_ask(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    (void)module;
    if (n != 4 || !PyBytes_Check(args[0]) || !PyTuple_Check(args[1]) || !PyDict_CheckExact(args[2]))
        return PyErr_Format(PyExc_TypeError, "ask(prefix: bytes, args: tuple, kwargs: dict, cap: int | None)");
    size_t cap = cap_of(args[3]);
    if (PyErr_Occurred()) return NULL;
    Buffer frame = plain_buffer();
    /* Beside threads, a call is one that the others run during. */
    bool plain = !cloche_has_threads() &&
                 plain_bytes(&frame, PyBytes_AS_STRING(args[0]), (size_t)PyBytes_GET_SIZE(args[0])) &&
                 plain_items(&frame, ((PyTupleObject *)args[1])->ob_item, PyTuple_GET_SIZE(args[1])) &&
                 plain_value(&frame, args[2]) && frame.length <= cap;
    if (plain) return exchange(&frame);
    plain_free(&frame);
    return PyTuple_New(0);
}

static PyObject *bridge_pack(PyObject *module, PyObject *args) {
    (void)module;
    const char *before, *after;
    Py_ssize_t before_size, after_size;
    PyObject *value, *limit;
    if (!PyArg_ParseTuple(args, "y#Oy#O", &before, &before_size, &value, &after, &after_size, &limit)) return NULL;
    size_t cap = cap_of(limit);
    if (PyErr_Occurred()) return NULL;
    Buffer message = plain_buffer();
    bool plain = plain_bytes(&message, before, (size_t)before_size) && plain_value(&message, value) &&
                 plain_bytes(&message, after, (size_t)after_size) && message.length <= cap;
    PyObject *packed = plain ? PyBytes_FromStringAndSize(message.data, (Py_ssize_t)message.length) : Py_NewRef(Py_None);
    plain_free(&message);
    return packed;
}

static PyObject *bridge_unpack(PyObject *module, PyObject *data) {
    (void)module;
    if (!PyBytes_CheckExact(data)) return Py_NewRef(Py_NotImplemented);
    PyObject *value = plain_read(PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data));
    return value || PyErr_Occurred() ? value : Py_NewRef(Py_NotImplemented);
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

static PyObject *bridge_feed(PyObject *module, PyObject *data) {
    (void)module;
    static PyObject *fed;
    if (!PyBytes_Check(data)) return PyErr_Format(PyExc_TypeError, "data must be bytes");
    memfs_feed((const uint8_t *)PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data));
    Py_XSETREF(fed, Py_NewRef(data));
    Py_RETURN_NONE;
}

static PyObject *bridge_set_step(PyObject *module, PyObject *function) {
    (void)module;
    if (!PyCallable_Check(function)) return PyErr_Format(PyExc_TypeError, "step must be callable");
    Py_XSETREF(step, Py_NewRef(function));
    Py_RETURN_NONE;
}

static PyObject *bridge_reseed(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    cloche_sqlite_reseed();
    Py_RETURN_NONE;
}

/* _randommodule.c, as patched */
void _PyRandom_SeedLater(PyObject *random);

/* The type whose objects that function may be called with; looked up while the image is made. */
static PyTypeObject *random_type(void) {
    static PyObject *type;
    if (type) return (PyTypeObject *)type;
    PyObject *module = PyImport_ImportModule("_random");
    type = module ? PyObject_GetAttrString(module, "Random") : NULL;
    Py_XDECREF(module);
    return (PyTypeObject *)type;
}

static PyObject *bridge_seed_later(PyObject *module, PyObject *generator) {
    (void)module;
    PyTypeObject *type = random_type();
    if (!type) return NULL;
    if (!PyObject_TypeCheck(generator, type)) return PyErr_Format(PyExc_TypeError, "expected a random.Random");
    _PyRandom_SeedLater(generator);
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

/* Of what is never freed, the count that a 64-bit CPython shows. */
static PyObject *bridge_getrefcount(PyObject *module, PyObject *value) {
    (void)module;
    return _Py_IsImmortal(value) ? PyLong_FromUnsignedLong(UINT32_MAX) : PyLong_FromSsize_t(Py_REFCNT(value));
}

static PyObject *bridge_get_terminal_size(PyObject *module, PyObject *args) {
    (void)module;
    int fd = 1;
    if (!PyArg_ParseTuple(args, "|i:get_terminal_size", &fd)) return NULL;
    PyObject *reason = Py_BuildValue("is", cloche_errno(ENOTTY), "there is no terminal or display in this sandbox");
    if (reason) PyErr_SetObject(PyExc_OSError, reason);
    Py_XDECREF(reason);
    return NULL;
}

static PyObject *bridge_duplicate(PyObject *module, PyObject *args) {
    (void)module;
    int fd, to;
    if (!PyArg_ParseTuple(args, "ii", &fd, &to)) return NULL;
    int made = memfs_duplicate(fd, to);
    if (made >= 0) return PyLong_FromLong(made);
    errno = -made;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *cloche_bridge_step(PyObject *request) { return step ? cloche_suspendable_step(step, request) : NULL; }

static PyMethodDef methods[] = {
    {"call", bridge_call, METH_O, "call(frame: bytes) -> bytes: one bridge call, answered by the host."},
    {"ask", _PyCFunction_CAST(bridge_ask), METH_FASTCALL,
     "ask(prefix, args, kwargs, cap): send prefix + args + kwargs and return the value replied; () if the arguments "
     "are not plain or take more than cap bytes, or if there are threads, (reply,) if the reply is not a plain value."},
    {"pack", bridge_pack, METH_VARARGS,
     "pack(before, value, after, cap) -> bytes | None: a plain value between these bytes, None if it is not plain."},
    {"unpack", bridge_unpack, METH_O, "unpack(data) -> the plain value, or NotImplemented."},
    {"compile", cloche_compile, METH_VARARGS,
     "compile(source, filename) -> code object of the program, whose value is that of its last expression."},
    {"immortalize", cloche_immortalize, METH_O,
     "immortalize(objects): never count references to these objects, and to all they refer to, again."},
    {"settle", cloche_settle, METH_O,
     "settle(headroom): leave the holes of the object heap unused, and have so many free bytes behind it."},
    {"cluster", cloche_cluster, METH_O, "cluster(functions: list): give them copies of their code, all side by side."},
    {"place", cloche_place, METH_VARARGS,
     "place(path: str, data: bytes, size: int): add a file to the image; of `size` bytes once it is unpacked, -1 if it "
     "is not compressed."},
    {"seal", cloche_seal, METH_NOARGS, "seal(): make all files but those to come the image's, and close its heap's holes."},
    {"substitute", cloche_substitute, METH_VARARGS,
     "substitute(functions: dict, reduce): have builtins call these functions in their place, where no C need be "
     "below them."},
    {"begin_count", cloche_begin_count, METH_NOARGS, "begin_count() -> int: frames below do not count from here on."},
    {"end_count", cloche_end_count, METH_O, "end_count(below): these frames count again."},
    {"uncount", cloche_uncount, METH_NOARGS, "uncount(): a substitute ends, whose frame does not count as the program's."},
    {"sort_by", cloche_sort_by, METH_VARARGS, "sort_by(items: list, keys: list, reverse: bool): sort items by their keys."},
    {"begin_sum", cloche_begin_sum, METH_O, "begin_sum(start) -> Sum: what sum() does, item by item."},
    {"begin_dict", cloche_begin_dict, METH_NOARGS, "begin_dict() -> Sum: what dict() of an iterable does, item by item."},
    {"begin_frozenset", cloche_begin_frozenset, METH_NOARGS, "begin_frozenset() -> Sum: the same of frozenset()."},
    {"begin_step", _PyCFunction_CAST(cloche_begin_step), METH_FASTCALL,
     "begin_step(callback, args, make) -> what to iterate over once, to resume the task whose callback it is; None if "
     "it has to be called instead."},
    {"end_step", _PyCFunction_CAST(cloche_end_step), METH_FASTCALL,
     "end_step(callback, args[, yielded]): take note of what the task's coroutine has yielded, or returned."},
    {"fail_step", cloche_fail_step, METH_VARARGS,
     "fail_step(callback, args, error, own): the same of what it has raised, whose traceback begins with so many "
     "frames that are not the program's. Raises what is not the task's own affair."},
    {"seed_later", bridge_seed_later, METH_O,
     "seed_later(generator: random.Random): seed it from the host's entropy when the first number is drawn."},
    {"scrypt_mix", cloche_scrypt_mix, METH_VARARGS,
     "scrypt_mix(block: bytes, n: int, r: int) -> bytes: ROMix of RFC 7914."},
    {"write", bridge_write, METH_VARARGS, "write(stream: int, data: bytes): output, stream 1 or 2."},
    {"feed", bridge_feed, METH_O, "feed(data: bytes): what reading from file descriptor 0 gives."},
    {"set_step", bridge_set_step, METH_O, "set_step(step): what handles the host's requests."},
    {"fs_limits", bridge_fs_limits, METH_VARARGS, "fs_limits(files, bytes): caps of the memory file system."},
    {"duplicate", bridge_duplicate, METH_VARARGS,
     "duplicate(fd: int, to: int) -> int: another descriptor of the same open file, `to` or a free one below 0."},
    {"getrefcount", bridge_getrefcount, METH_O,
     "getrefcount($module, object, /)\n--\n\nReturn the reference count of object.\n\nThe count returned is generally "
     "one higher than you might expect,\nbecause it includes the (temporary) reference as an argument to\ngetrefcount()."},
    /* As in posixmodule.c, where it is left out. */
    {"get_terminal_size", bridge_get_terminal_size, METH_VARARGS,
     "get_terminal_size($module, fd=<unrepresentable>, /)\n--\n\nReturn the size of the terminal window as (columns, "
     "lines)."},
    {"reseed", bridge_reseed, METH_NOARGS, "reseed(): SQLite asks the host for new random numbers."},
    {"blocked_at", cloche_blocked_at, METH_NOARGS, "blocked_at(): the frame that called the C code above, or None."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_cloche", .m_doc = "The bridge to the host.", .m_size = -1, .m_methods = methods,
};

PyObject *cloche_bridge_module(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && cloche_threads_init(module) < 0) Py_CLEAR(module);
    if (module && PyModule_Add(module, "suspend", cloche_suspend_object()) < 0) Py_CLEAR(module);
    return module;
}
