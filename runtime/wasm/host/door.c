/* The guest's imports, called by the engine while a guest runs. What makes it safe:
 *
 * - Nothing is raised through WebAssembly: each callback returns a trap or NULL. A Python exception is kept in `raised`,
 *   and read when the guest has been left.
 * - Every pointer and length is compared with the memory's size, in 64 bits, before it is used.
 * - The GIL is taken before any object is touched, and given back before the guest continues.
 *
 * Everything but the usual is left to GuestImports (runtime/wasm/imports.py), with its checks and its words. */
#include "door.h"

#include <string.h>

#include "names.h"

Engine engine;

/* What a charge passes to `clock`: see runtime/wasm/meter.py. */
#define CLOCK_LOOK 99
/* In place of a length: see runtime/wasm/imports.py. */
#define NOT_YET 0xfffffffeLL
static const char STOPPED[] = "stopped";

/* The guest that this thread runs, innermost where a tool runs another one. */
static _Thread_local Door *current;

static void *trap(void)
{
    return engine.trap_new(STOPPED, sizeof STOPPED - 1);
}

/* Keep the exception that is set; the guest ends. */
static void *end(Door *door)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DecRef(traceback);
    }
    if (door->raised == NULL)
        door->raised = value;
    else
        Py_DecRef(value);
    Py_DecRef(type);
    return trap();
}

bool door_spans(Door *door, uint64_t at, uint64_t size)
{
    if (at + size <= door->size)
        return true;
    door->size = engine.memory_size(door->context, door->memory);
    return at + size <= door->size;
}

/* Take the GIL on the way in from the guest. Returns NULL, without it, where no guest of ours runs on this thread. */
static Door *come_in(void)
{
    Door *door = current;
    if (door != NULL) {
        PyEval_RestoreThread(door->thread);
        /* What Python does meanwhile may start another module, whose imports are not this guest's. */
        current = NULL;
    }
    return door;
}

static void *go_out(Door *door, void *result)
{
    current = door;
    door->thread = PyEval_SaveThread();
    return result;
}

/* Whether the import can be served: there is a host, and whoever waits to hear of the first one has heard of it. */
static bool is_open(Door *door)
{
    if (door->host == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a guest called an import while this thread was running none");
        return false;
    }
    if (door->opening == NULL)
        return true;
    bool (*opening)(void *) = door->opening;
    door->opening = NULL;
    return opening(door->run);
}

/* A length that Python returned; -1 with an exception set if it is none. */
static int64_t as_length(PyObject *result)
{
    int64_t length = result == NULL ? -1 : PyLong_AsLongLong(result);
    drop(result);
    return length;
}

/* Whether this is UNANSWERED (runtime/machine_api.py): no message is this byte alone. */
static bool is_unanswered(PyObject *reply)
{
    return PyBytes_Size(reply) == 1 && *PyBytes_AsString(reply) == (char)0xc1;
}

/* Answer a usual frame: the reply's length, or -1 with an exception set. */
static int64_t answer(Door *door, uint32_t at, uint32_t size, uint32_t to, uint32_t capacity)
{
    PyObject *reply = NULL;
    if (size <= SHORT && door->handlers != NULL)
        reply = calls_answer(&door->calls, door->handlers, door->base + at, size);
    if (reply == NULL && PyErr_Occurred() == NULL) {
        PyObject *frame = PyBytes_FromStringAndSize((char *)door->base + at, size);
        reply = frame == NULL ? NULL : PyObject_CallFunctionObjArgs(door->serve, frame, NULL);
        drop(frame);
    }
    if (reply == NULL)
        return -1;
    int64_t length = -1;
    if (Py_TYPE(reply) != &PyBytes_Type)
        PyErr_SetString(PyExc_TypeError, "a reply that is not bytes");
    else if (!is_unanswered(reply) && (length = PyBytes_Size(reply)) <= (int64_t)capacity)
        memcpy(door->base + to, PyBytes_AsString(reply), (size_t)length);
    else {
        length = as_length(PyObject_CallMethod(door->host, "keep", "O", reply));
        door->has_kept = length != NOT_YET;
    }
    Py_DecRef(reply);
    return length;
}

static bool is_usual(Door *door, uint32_t at, uint32_t size, uint32_t to, uint32_t capacity)
{
    return door->serve != NULL && !door->has_kept && size && size <= door->max_frame && door_spans(door, at, size) &&
           door_spans(door, to, capacity);
}

static void *on_call(void *environment, void *caller, Raw *values, size_t count)
{
    (void)environment, (void)caller, (void)count;
    uint32_t at = (uint32_t)values[0].i32, size = (uint32_t)values[1].i32;
    uint32_t to = (uint32_t)values[2].i32, capacity = (uint32_t)values[3].i32;
    Door *door = come_in();
    if (door == NULL)
        return trap();
    if (!is_open(door))
        return go_out(door, end(door));
    int64_t length = -1;
    if (is_usual(door, at, size, to, capacity))
        length = answer(door, at, size, to, capacity);
    else {
        length = as_length(PyObject_CallMethod(door->host, "call", "IIII", at, size, to, capacity));
        door->has_kept = length > (int64_t)capacity && length != NOT_YET;
    }
    if (length < 0)
        return go_out(door, end(door));
    values[0].i32 = (int32_t)length;
    return go_out(door, NULL);
}

/* Have GuestImports do it, with the guest's numbers: the import's name is what the engine was given with it. */
static void *serve(void *method, void *caller, Raw *values, size_t count)
{
    (void)caller;
    Door *door = come_in();
    if (door == NULL)
        return trap();
    PyObject *result = NULL;
    if (is_open(door))
        result = PyObject_CallMethod(door->host, method, &"III"[3 - count], (uint32_t)values[0].i32,
                                     (uint32_t)values[count > 1].i32, (uint32_t)values[count - 1].i32);
    drop(result);
    /* Of a reply that was too long for a call, nothing is kept once it was taken. */
    door->has_kept = door->has_kept && (result == NULL || count > 1);
    return go_out(door, result == NULL ? end(door) : NULL);
}

/* A charge calls when it found too little fuel, or when the host asked for a look. */
static void *look(Door *door)
{
    /* Before the look, so that whoever asks meanwhile asks for another one. */
    door->meter[LOOK_NOW] = 0;
    if (door->meter[LEFT] < 0)
        return trap();
    PyObject *ending = PyObject_CallNoArgs(door->must_end);
    if (ending == NULL)
        return end(door);
    int must = PyObject_IsTrue(ending);
    Py_DecRef(ending);
    return must < 0 ? end(door) : must ? trap() : NULL;
}

static void *on_clock(void *environment, void *caller, Raw *values, size_t count)
{
    (void)environment, (void)caller, (void)count;
    uint32_t which = (uint32_t)values[0].i32;
    Door *door = come_in();
    if (door == NULL)
        return trap();
    if (which == CLOCK_LOOK && door->meter != NULL)
        return go_out(door, look(door));
    PyObject *moment = is_open(door) ? PyObject_CallMethod(door->host, "clock", "I", which) : NULL;
    if (moment == NULL)
        return go_out(door, end(door));
    values[0].i64 = PyLong_AsLongLong(moment);
    Py_DecRef(moment);
    return go_out(door, PyErr_Occurred() ? end(door) : NULL);
}

PyObject *door_callbacks(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    unsigned long long served = (uintptr_t)serve;
    return Py_BuildValue("d{sKsKsKsKsK}", now(), "call", (unsigned long long)(uintptr_t)on_call, "clock",
                         (unsigned long long)(uintptr_t)on_clock, "take", served, "write", served, "entropy", served);
}

bool door_enter(Door *door, const void *function, uint32_t argument, uint64_t *packed, void **error, void **trapped)
{
    Raw value = {.i64 = 0};
    value.i32 = (int32_t)argument;
    *trapped = NULL;
    Door *before = current;
    door->thread = PyEval_SaveThread();
    current = door;
    *error = engine.call(door->context, function, &value, 1, trapped);
    current = before;
    PyEval_RestoreThread(door->thread);
    /* The next run's calls are others. */
    if (door->calls.asked)
        calls_forget(&door->calls);
    *packed = (uint64_t)value.i64;
    return *error == NULL && *trapped == NULL;
}

/* The type, as Instance (runtime/wasm/instance.py) uses it. */

static PyObject *door_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)keywords;
    Door *door = (Door *)PyType_GenericAlloc(type, 0);
    _Static_assert(sizeof(void *) == sizeof(unsigned long long), "addresses are parsed as numbers");
    if (door == NULL || !PyArg_ParseTuple(args, "KKKKK", &door->context, &door->step, &door->inbox, &door->memory,
                                          &door->meter)) {
        drop(door);
        return NULL;
    }
    door->base = engine.memory_data(door->context, door->memory);
    door->size = engine.memory_size(door->context, door->memory);
    return (PyObject *)door;
}

static void let_go(Door *door)
{
    clear(door->parts, sizeof door->parts / sizeof *door->parts);
    calls_forget(&door->calls);
}

static void door_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    let_go((Door *)self);
    ((void (*)(void *))PyType_GetSlot(type, Py_tp_free))(self);
    Py_DecRef((PyObject *)type);
}

/* host(imports, handlers, handlers.call, must_end, max_frame): any of the first three may be None */
static PyObject *door_host(PyObject *self, PyObject *args)
{
    Door *door = (Door *)self;
    PyObject *parts[4];
    if (!PyArg_ParseTuple(args, "OOOOL", &parts[0], &parts[1], &parts[2], &parts[3], &door->max_frame))
        return NULL;
    let_go(door);
    for (int index = 0; index < 4; index++)
        replace(&door->parts[index], parts[index] == Py_None ? NULL : parts[index]);
    door->opening = NULL;
    door->has_kept = false;
    return none();
}

/* enter(step, argument) -> packed result, or (error, trap) */
static PyObject *door_call(PyObject *self, PyObject *args)
{
    Door *door = (Door *)self;
    int step;
    unsigned int argument;
    if (!PyArg_ParseTuple(args, "iI", &step, &argument))
        return NULL;
    if (door->context == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the guest was freed");
        return NULL;
    }
    uint64_t packed;
    void *error, *trapped;
    if (door_enter(door, step ? door->step : door->inbox, argument, &packed, &error, &trapped))
        return PyLong_FromUnsignedLongLong(packed);
    return Py_BuildValue("KK", error, trapped);
}

/* taken() -> what a callback raised, or None: once */
static PyObject *door_taken(PyObject *self, PyObject *unused)
{
    (void)unused;
    Door *door = (Door *)self;
    PyObject *raised = door->raised;
    door->raised = NULL;
    return raised != NULL ? raised : none();
}

/* run(bool): whether the meter may be written from now on */
static PyObject *door_run(PyObject *self, PyObject *running)
{
    ((Door *)self)->running = running == Py_True;
    return none();
}

/* note(end): have a guest that runs call its host, and with `end` trap. From any thread: the GIL is held. */
static PyObject *door_note(PyObject *self, PyObject *ending)
{
    Door *door = (Door *)self;
    if (door->running && door->meter != NULL) {
        if (ending == Py_True)
            door->meter[ENDED] = INT64_MAX;
        door->meter[LOOK_NOW] = INT64_MAX;
    }
    return none();
}

static PyObject *door_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    Door *door = (Door *)self;
    bool was_running = door->running;
    door->running = false;
    door->context = NULL;
    door->meter = NULL;
    /* The collector does not look into a door, so that what it holds, which holds it, would stay for ever. */
    if (!was_running)
        let_go(door);
    return none();
}

static PyMethodDef door_methods[] = {
    {"host", door_host, METH_VARARGS, "Serve the guest from now on."},
    {"enter", door_call, METH_VARARGS, "Call cloche_step, or cloche_inbox."},
    {"taken", door_taken, METH_NOARGS, "Return what a callback raised."},
    {"run", door_run, METH_O, "Say whether the guest is about to run."},
    {"note", door_note, METH_O, "Have a running guest look."},
    {"close", door_close, METH_NOARGS, "The guest is freed."},
    {NULL, NULL, 0, NULL},
};

TYPE_OF(door, Door, "cloche._host.Door", "One guest's door.");
