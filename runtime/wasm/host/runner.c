/* One run of an armed session, from its text to its result. Session.run (runtime/session/session.py) asks here first.
 *
 * `run` returns None, with nothing done, whenever anything is not as it was when the runner was armed: then the way in
 * Python does it all. What happens between taking the session and releasing it runs no Python code of ours, so that no
 * signal's handler can come in between; and what it takes is undone on each way out. Where the guest calls its first
 * import, `Express.opened` makes of the run what it would be in Python, and `Express.concluded` ends such a one, as well
 * as one that ends other than with a short plain value. */
#include "runner.h"

#include <string.h>
#include <time.h>

#include "door.h"
#include "plain.h"

/* As in runtime/wasm/deadlines.py. */
#define HEARTBEAT 0.05
/* Bytes of an answer up to which it costs the host's memory nothing extra: SHORT of runtime/bridge/host_memory.py. */
#define SHORT 32

/* What the guest answers as a rule: no value, no error. */
static const uint8_t NOTHING[4] = {0x93, 0x00, 0xc0, 0xc0};

typedef struct {
    PyObject_HEAD
    Door *door;
    /* Of runtime/session/guest.py: the SessionGuest, its Running, and its lock's two methods. */
    PyObject *guest, *running, *acquire, *release;
    /* The dispatcher's `version` method and what it said; the watch, the set of its guests, the guest's control. */
    PyObject *version, *watched, *control;
    PyObject *stop_type, *result_type, *usage_type, *left_behind, *modules, *signals;
    double *times;        /* the watch's: when it looks next, and how many guests have entered */
    uint64_t inbox;       /* where requests are written, and the bytes that fit */
    uint64_t inbox_size;
    long long known;      /* the dispatcher's version */
    long long fuel;       /* what a run may use */
    double seconds;       /* what it may take; negative for no bound */
    char *stack;          /* the lowest address of this thread's stack, its size, and what a guest needs of it */
    uint64_t stack_size, stack_need;
    unsigned long thread; /* the one that may run it */
    bool on_main, keeps, armed;
    /* What was done since it was armed: for SessionGuest.collect. */
    long long number, runs, used, weight;
    double spent;
    PyObject *steps;
    /* What may be done before the journal wants to be asked. */
    long long fuel_room, weight_room;
    Py_ssize_t steps_room;
} Runner;

static bool forked;
static PyObject *no_text;
static PyObject *name_ended, *name_running, *name_holder, *name_stop, *name_deadline, *name_deferral, *name_opened;
static PyObject *name_concluded, *name_greenlet;
static PyObject *(*new_tuple)(PyTypeObject *, PyObject *, PyObject *);

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    /* As time.perf_counter rounds it. */
    return (double)((int64_t)time.tv_sec * 1000000000 + time.tv_nsec) / 1e9;
}

PyObject *runner_now(PyObject *module, PyObject *none)
{
    (void)module, (void)none;
    return PyFloat_FromDouble(now());
}

PyObject *runner_forget(PyObject *module, PyObject *none)
{
    (void)module, (void)none;
    forked = true;
    Py_IncRef(Py_None);
    return Py_None;
}

static PyObject *another_way(void)
{
    Py_IncRef(Py_None);
    return Py_None;
}

/* One run, while it lasts. */
typedef struct {
    Runner *runner;
    PyObject *express, *session, *frame, *stop;
    double started;
    bool opened;
} Run;

static bool set(PyObject *owner, PyObject *name, PyObject *value)
{
    return PyObject_SetAttr(owner, name, value) == 0;
}

/* Whether an attribute is this very object; false with an exception set if it cannot be read. */
static bool is_still(PyObject *owner, PyObject *name, PyObject *expected)
{
    PyObject *found = PyObject_GetAttr(owner, name);
    if (found == NULL)
        return false;
    Py_DecRef(found);
    return found == expected;
}

static bool is_empty(PyObject *owner, PyObject *name)
{
    PyObject *found = PyObject_GetAttr(owner, name);
    int truth = found == NULL ? -1 : PyObject_IsTrue(found);
    drop(found);
    return truth == 0;
}

/* Whether this thread is the runner's, with room on its stack, and nothing in the process asks for more care. */
static bool is_place(Runner *runner)
{
    char here;
    uint64_t room = (uint64_t)(&here - runner->stack);
    if (forked || PyThread_get_thread_ident() != runner->thread || &here < runner->stack)
        return false;
    if (room > runner->stack_size || room < runner->stack_need || PySet_Size(runner->left_behind) != 0)
        return false;
    /* A greenlet has a stack of its own: Python looks at that. */
    if (PyDict_GetItemWithError(runner->modules, name_greenlet) != NULL || PyErr_Occurred())
        return false;
    return !runner->on_main || is_still(runner->signals, name_deferral, Py_None);
}

static bool has_room(Runner *runner)
{
    return runner->armed && runner->used < runner->fuel_room && runner->weight < runner->weight_room &&
           PyList_Size(runner->steps) < runner->steps_room;
}

static bool knows_tools(Runner *runner)
{
    PyObject *version = PyObject_CallNoArgs(runner->version);
    if (version == NULL)
        return false;
    long long number = PyLong_AsLongLong(version);
    Py_DecRef(version);
    return number == runner->known && !PyErr_Occurred();
}

/* The bytes of "<run 12>" without the brackets' price of a format. */
static int number_name(char *name, long long number)
{
    char digits[20];
    int count = 0, size = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    memcpy(name, "<run ", 5);
    for (size = 5; count > 0;)
        name[size++] = digits[--count];
    name[size++] = '>';
    return size;
}

/* The RUN request, as bridge/protocol.py writes it, with no options; NULL without an exception if it is too long. */
static PyObject *request(Runner *runner, PyObject *code)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(code, &size);
    if (text == NULL) {
        PyErr_Clear();
        return NULL;
    }
    uint8_t head[5], tail[40];
    int before = 0, after;
    if (size < 32)
        head[before++] = (uint8_t)(0xa0 | size);
    else if (size <= 0xff) {
        head[before++] = 0xd9;
        head[before++] = (uint8_t)size;
    } else if (size <= 0xffff) {
        head[before++] = 0xda;
        head[before++] = (uint8_t)(size >> 8);
        head[before++] = (uint8_t)size;
    } else
        return NULL;
    after = number_name((char *)tail + 1, runner->number + 1);
    tail[0] = (uint8_t)(0xa0 | after);
    tail[++after] = 0x80;
    after++;
    Py_ssize_t whole = 2 + before + size + after;
    if ((uint64_t)whole > runner->inbox_size)
        return NULL;
    PyObject *frame = PyBytes_FromStringAndSize(NULL, whole);
    if (frame == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)PyBytes_AsString(frame);
    memcpy(at, "\x94\x01", 2);
    memcpy(at + 2, head, (size_t)before);
    memcpy(at + 2 + before, text, (size_t)size);
    memcpy(at + 2 + before + size, tail, (size_t)after);
    return frame;
}

/* The signal that says when the run must end, where everyone finds it: the guest's control and the session's holder. */
static bool announce(Run *run)
{
    Runner *runner = run->runner;
    double deadline = run->started + runner->seconds;
    /* Added first, and the thread's next look read second: see Watch. */
    if (PySet_Add(runner->watched, runner->control) < 0)
        return false;
    if (runner->seconds >= 0) {
        PyObject *moment = PyFloat_FromDouble(deadline);
        bool done = moment != NULL && set(run->stop, name_deadline, moment);
        drop(moment);
        /* The watch has to be woken for it: in Python. */
        if (!done || deadline < runner->times[0])
            return false;
    }
    if (runner->on_main && runner->times[0] > run->started + HEARTBEAT)
        return false;
    return set(runner->control, name_stop, run->stop) && set(run->express, name_stop, run->stop) &&
           set(runner->guest, name_holder, run->express);
}

static bool take(Runner *runner)
{
    PyObject *taken = PyObject_CallFunctionObjArgs(runner->acquire, Py_False, NULL);
    if (taken == NULL)
        return false;
    Py_DecRef(taken);
    return taken == Py_True;
}

static void give_back(Runner *runner)
{
    PyObject *done = PyObject_CallNoArgs(runner->release);
    drop(done);
}

static bool is_same(Runner *runner)
{
    return runner->armed && is_empty(runner->guest, name_ended) &&
           is_still(runner->guest, name_running, runner->running) && runner->door->context != NULL &&
           !runner->door->running;
}

static void leave_watch(Runner *runner)
{
    runner->door->running = false;
    if (PySet_Discard(runner->watched, runner->control) < 0)
        PyErr_Clear();
}

/* Take the session and all that a run needs. True, or false with everything as it was. */
static bool begin(Run *run, PyObject *code)
{
    Runner *runner = run->runner;
    if (!take(runner))
        return false;
    run->started = now();
    if (is_same(runner) && (run->frame = request(runner, code)) != NULL &&
        (run->stop = PyObject_CallNoArgs(runner->stop_type)) != NULL && announce(run))
        return true;
    PyErr_Clear();
    leave_watch(runner);
    if (!set(runner->guest, name_holder, Py_None))
        PyErr_Clear();
    give_back(runner);
    return false;
}

static bool open_run(void *context)
{
    Run *run = context;
    run->opened = true;
    PyObject *started = PyFloat_FromDouble(run->started);
    PyObject *done = started == NULL ? NULL
                                     : PyObject_CallMethodObjArgs(run->express, name_opened, run->session, run->frame,
                                                                  run->stop, started, NULL);
    drop(started);
    drop(done);
    return done != NULL;
}

/* The value of a short answer without an error; NULL without an exception for any other. */
static PyObject *short_value(Runner *runner, uint64_t packed)
{
    uint64_t at = packed >> 32, size = packed & UINT32_MAX;
    if (size < sizeof NOTHING || size > SHORT || !door_spans(runner->door, at, size))
        return NULL;
    const uint8_t *bytes = runner->door->base + at;
    if (size == sizeof NOTHING && memcmp(bytes, NOTHING, sizeof NOTHING) == 0) {
        Py_IncRef(Py_None);
        return Py_None;
    }
    if (bytes[0] != 0x93 || bytes[1] != 0 || bytes[size - 1] != 0xc0)
        return NULL;
    Reader from = {bytes + 2, bytes + size - 1};
    PyObject *value = plain_read(&from);
    if (value != NULL && from.at != from.end) {
        Py_DecRef(value);
        return NULL;
    }
    return value;
}

/* Note the step for the journal: request, no answers, and a check of the response. */
static bool note_step(Run *run, uint64_t packed)
{
    Runner *runner = run->runner;
    if (!runner->keeps)
        return true;
    const char *at = (const char *)runner->door->base + (packed >> 32);
    PyObject *response = PyBytes_FromStringAndSize(at, (Py_ssize_t)(packed & UINT32_MAX));
    PyObject *check = response == NULL ? NULL : PyLong_FromLongLong(PyObject_Hash(response));
    PyObject *answers = PyList_New(0), *step = PyTuple_New(3);
    bool done = check != NULL && answers != NULL && step != NULL;
    if (done) {
        Py_IncRef(run->frame);
        PyTuple_SetItem(step, 0, run->frame);
        PyTuple_SetItem(step, 1, answers);
        PyTuple_SetItem(step, 2, check);
        done = PyList_Append(runner->steps, step) == 0;
        answers = check = NULL;
    }
    PyObject *left[] = {response, check, answers, step};
    for (int index = 0; index < 4; index++)
        if (left[index] != NULL)
            Py_DecRef(left[index]);
    runner->weight += done ? PyBytes_Size(run->frame) : 0;
    return done;
}

static PyObject *make_usage(Runner *runner, long long fuel, double seconds)
{
    PyObject *fields = Py_BuildValue("((LdKii))", fuel, seconds, (unsigned long long)runner->door->size, 0, 0);
    if (fields == NULL)
        return NULL;
    /* What a named tuple's own __new__ does, without its Python frame. */
    PyObject *usage = new_tuple((PyTypeObject *)runner->usage_type, fields, NULL);
    Py_DecRef(fields);
    return usage;
}

static PyObject *make_result(Runner *runner, PyObject *value, long long fuel, double seconds)
{
    PyObject *usage = make_usage(runner, fuel, seconds), *calls = PyList_New(0), *result = NULL;
    if (usage != NULL && calls != NULL)
        result = PyObject_CallFunctionObjArgs(runner->result_type, value, Py_None, no_text, no_text, usage, calls, NULL);
    drop(usage);
    drop(calls);
    return result;
}

/* Let others use the session. */
static bool end_run(Runner *runner)
{
    bool done = set(runner->guest, name_holder, Py_None);
    give_back(runner);
    PyObject *ended = PyObject_GetAttr(runner->guest, name_ended);
    int must_close = ended == NULL ? -1 : PyObject_IsTrue(ended);
    if (must_close > 0) {
        /* It was ended while it ran: whoever did that could not close it. */
        PyObject *name = PyUnicode_InternFromString("end");
        PyObject *closed = name == NULL ? NULL : PyObject_CallMethodObjArgs(runner->guest, name, ended, NULL);
        done = done && closed != NULL;
        drop(closed);
        drop(name);
    }
    drop(ended);
    return done && must_close >= 0;
}

static PyObject *conclude_usual(Run *run, PyObject *value, double seconds)
{
    Runner *runner = run->runner;
    long long fuel = runner->fuel - runner->door->meter[LEFT];
    runner->number++;
    runner->runs++;
    runner->used += fuel;
    runner->spent += seconds;
    return end_run(runner) ? make_result(runner, value, fuel, seconds) : NULL;
}

static PyObject *conclude_any(Run *run, bool left_well, uint64_t packed, void *error, void *trap)
{
    PyObject *started = PyFloat_FromDouble(run->started), *outcome = NULL, *result = NULL;
    if (left_well)
        outcome = PyLong_FromUnsignedLongLong(packed);
    else
        outcome = Py_BuildValue("KK", (unsigned long long)(uintptr_t)error, (unsigned long long)(uintptr_t)trap);
    if (started != NULL && outcome != NULL)
        result = PyObject_CallMethodObjArgs(run->express, name_concluded, run->session, run->frame, run->stop, started,
                                            outcome, NULL);
    drop(started);
    drop(outcome);
    return result;
}

static PyObject *perform(Run *run)
{
    Runner *runner = run->runner;
    Door *door = runner->door;
    uint64_t packed = 0;
    void *error = NULL, *trap = NULL;
    Py_ssize_t size = PyBytes_Size(run->frame);
    memcpy(door->base + runner->inbox, PyBytes_AsString(run->frame), (size_t)size);
    door->meter[LEFT] = runner->fuel;
    door->meter[LOOK_NOW] = door->meter[ENDED] = 0;
    door->running = true;
    runner->times[1] += 1;
    door->opening = open_run;
    door->run = run;
    bool left_well = door_enter(door, door->step, (uint32_t)size, &packed, &error, &trap);
    door->opening = NULL;
    leave_watch(runner);
    PyObject *value = left_well && !run->opened && door->raised == NULL ? short_value(runner, packed) : NULL;
    if (value == NULL)
        return conclude_any(run, left_well, packed, error, trap);
    PyObject *result;
    double seconds = now() - run->started;
    /* The size as it is now, for the usage. */
    door_spans(door, UINT32_MAX, UINT32_MAX);
    if (note_step(run, packed))
        result = conclude_usual(run, value, seconds);
    else {
        PyErr_Clear();
        result = conclude_any(run, left_well, packed, error, trap);
    }
    Py_DecRef(value);
    return result;
}

/* run(code, express, session) -> Result, or None where it is to be done in Python */
static PyObject *runner_run(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Runner *runner = (Runner *)self;
    if (count != 3 || Py_TYPE(args[0]) != &PyUnicode_Type || !has_room(runner))
        return another_way();
    if (!is_place(runner))
        return PyErr_Occurred() ? NULL : another_way();
    /* The last Python code that may run before the session is taken. */
    if (!knows_tools(runner))
        return PyErr_Occurred() ? NULL : another_way();
    Run run = {runner, args[1], args[2], NULL, NULL, 0.0, false};
    PyObject *result = NULL;
    Py_IncRef(self);
    if (begin(&run, args[0]))
        result = perform(&run);
    else
        result = another_way();
    if (run.frame != NULL)
        Py_DecRef(run.frame);
    if (run.stop != NULL)
        Py_DecRef(run.stop);
    Py_DecRef(self);
    return result;
}

/* arm(number, version, fuel, seconds, fuel_room, weight_room, steps_room): usual runs may come, the next one of this
 * number + 1 */
static PyObject *runner_arm(PyObject *self, PyObject *args)
{
    Runner *runner = (Runner *)self;
    if (!PyArg_ParseTuple(args, "LLLdLLn", &runner->number, &runner->known, &runner->fuel, &runner->seconds,
                          &runner->fuel_room, &runner->weight_room, &runner->steps_room))
        return NULL;
    runner->armed = true;
    return another_way();
}

/* collect() -> (runs, fuel, seconds, steps, weight) since the last time; no more runs until it is armed again */
static PyObject *runner_collect(PyObject *self, PyObject *none)
{
    (void)none;
    Runner *runner = (Runner *)self;
    runner->armed = false;
    PyObject *steps = PyList_New(0);
    if (steps == NULL)
        return NULL;
    PyObject *done = Py_BuildValue("LLdNL", runner->runs, runner->used, runner->spent, runner->steps, runner->weight);
    runner->steps = steps;
    runner->runs = runner->used = runner->weight = 0;
    runner->spent = 0.0;
    return done;
}

/* so_far() -> (runs, fuel, seconds), without the rest of it */
static PyObject *runner_so_far(PyObject *self, PyObject *none)
{
    (void)none;
    Runner *runner = (Runner *)self;
    return Py_BuildValue("LLd", runner->runs, runner->used, runner->spent);
}

static void runner_dealloc(PyObject *self)
{
    Runner *runner = (Runner *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject **kept[] = {
        (PyObject **)&runner->door, &runner->guest,       &runner->running,    &runner->acquire,
        &runner->release,           &runner->version,     &runner->watched,    &runner->control,
        &runner->stop_type,         &runner->result_type, &runner->usage_type, &runner->left_behind,
        &runner->modules,           &runner->signals,     &runner->steps,
    };
    for (size_t index = 0; index < sizeof kept / sizeof *kept; index++)
        replace(kept[index], NULL);
    ((void (*)(void *))PyType_GetSlot(type, Py_tp_free))(self);
    Py_DecRef((PyObject *)type);
}

/* Runner(door, guest, running, lock's acquire and release, version, (watch's set, times' address), control,
 * (StopSignal, Result, Usage), left behind, sys.modules, signals' main, (inbox, its size), (thread, on main),
 * (stack's lowest address, its size, what is needed), keeps) */
static PyObject *runner_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)keywords;
    Runner given = {0};
    unsigned long long times, stack, inbox, inbox_size, stack_size, stack_need;
    int on_main, keeps;
    PyObject *door;
    if (!PyArg_ParseTuple(args, "OOOOOO(OK)O(OOO)OOO(KK)(kp)(KKK)p", &door, &given.guest, &given.running,
                          &given.acquire, &given.release, &given.version, &given.watched, &times, &given.control,
                          &given.stop_type, &given.result_type, &given.usage_type, &given.left_behind, &given.modules,
                          &given.signals, &inbox, &inbox_size, &given.thread, &on_main, &stack, &stack_size, &stack_need,
                          &keeps))
        return NULL;
    PyObject *steps = PyList_New(0);
    Runner *runner = steps == NULL ? NULL : (Runner *)PyType_GenericAlloc(type, 0);
    if (runner == NULL) {
        drop(steps);
        return NULL;
    }
    replace((PyObject **)&runner->door, door);
    PyObject **from[] = {&given.guest,     &given.running,     &given.acquire,    &given.release,     &given.version,
                         &given.watched,   &given.control,     &given.stop_type,  &given.result_type, &given.usage_type,
                         &given.left_behind, &given.modules,   &given.signals};
    PyObject **to[] = {&runner->guest,     &runner->running,     &runner->acquire,    &runner->release,
                       &runner->version,   &runner->watched,     &runner->control,    &runner->stop_type,
                       &runner->result_type, &runner->usage_type, &runner->left_behind, &runner->modules,
                       &runner->signals};
    for (size_t index = 0; index < sizeof from / sizeof *from; index++)
        replace(to[index], *from[index]);
    runner->steps = steps;
    runner->times = (double *)(uintptr_t)times;
    runner->inbox = inbox;
    runner->inbox_size = inbox_size;
    runner->thread = given.thread;
    runner->stack = (char *)(uintptr_t)stack;
    runner->stack_size = stack_size;
    runner->stack_need = stack_need;
    runner->on_main = on_main;
    runner->keeps = keeps;
    return (PyObject *)runner;
}

static PyMethodDef runner_methods[] = {
    {"run", (PyCFunction)(void (*)(void))runner_run, METH_FASTCALL, "Run a program, or return None."},
    {"arm", runner_arm, METH_VARARGS, "Let usual runs come."},
    {"collect", runner_collect, METH_NOARGS, "Take what was done, and disarm."},
    {"so_far", runner_so_far, METH_NOARGS, "Return what was used."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot runner_slots[] = {
    {Py_tp_new, (void *)runner_new},
    {Py_tp_dealloc, (void *)runner_dealloc},
    {Py_tp_methods, runner_methods},
    {Py_tp_doc, "A session's usual runs."},
    {0, NULL},
};

PyType_Spec runner_spec = {"cloche._host.Runner", sizeof(Runner), 0, Py_TPFLAGS_DEFAULT, runner_slots};

int runner_prepare(void)
{
    const struct {
        PyObject **place;
        const char *text;
    } names[] = {
        {&no_text, ""},
        {&name_ended, "ended"},
        {&name_running, "running"},
        {&name_holder, "holder"},
        {&name_stop, "stop"},
        {&name_deadline, "deadline"},
        {&name_deferral, "deferral"},
        {&name_opened, "opened"},
        {&name_concluded, "concluded"},
        {&name_greenlet, "greenlet"},
    };
    for (size_t index = 0; index < sizeof names / sizeof *names; index++)
        if ((*names[index].place = PyUnicode_InternFromString(names[index].text)) == NULL)
            return -1;
    *(void **)&new_tuple = PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    return new_tuple == NULL ? -1 : 0;
}
