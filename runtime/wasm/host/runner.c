/* One run of an armed session, from its text to its result. Session.run (runtime/session/session.py) asks here first.
 *
 * `run` returns None, with nothing done, whenever anything is not as it was when the runner was armed: then the way in
 * Python does it all. What happens between taking the session and releasing it runs no Python code of ours, so that no
 * signal's handler can come in between; and what it takes is undone on each way out. Where the guest calls its first
 * import, `Express.opened` has Python serve it, and `Express.served` says at the end what there is beside a short plain
 * value. A run that ends in another way is ended by `Express.concluded`, as any other run. */
#include "door.h"

#include <stdio.h>

#include "names.h"
#include "plain.h"

/* As in runtime/wasm/deadlines.py. */
#define HEARTBEAT 0.05

typedef struct {
    PyObject_HEAD
    union {
        struct {
            Door *door;
            /* Of runtime/session/guest.py: the SessionGuest, its Running, and its lock's two methods. */
            PyObject *guest, *running, *acquire, *release;
            /* The dispatcher's `version` method; the watch's set of guests, and the guest's control. */
            PyObject *version, *watched, *control;
            PyObject *stop_type, *result_type, *usage_type, *left_behind, *modules, *signals, *in_greenlet;
            /* What the next request tells the guest, encoded. This and the next are not given. */
            PyObject *options;
            /* What was done since it was armed, for the journal. */
            PyObject *steps;
        };
        PyObject *parts[17];
    };
    _Static_assert(sizeof(void *) == sizeof(unsigned long long), "addresses are parsed as numbers");
    double *times;              /* the watch's: when it looks next, and how many guests have entered */
    uint64_t inbox, inbox_size; /* where requests are written, and the bytes that fit */
    long long known, fuel;      /* the dispatcher's version; what a run may use */
    double seconds, spent;      /* what it may take, negative for no bound; what runs took since it was armed */
    char *stack;                /* the lowest address of this thread's stack, its size, and what a guest needs of it */
    uint64_t stack_size, stack_need;
    unsigned long thread;       /* the one that may run it */
    int on_main, keeps, armed;
    /* What was done since it was armed, for SessionGuest.collect, and what may be before the journal is to be asked. */
    long long number, runs, used, weight, fuel_room, weight_room;
    Py_ssize_t steps_room;
} Runner;

#define PARTS (sizeof((Runner *)0)->parts / sizeof(PyObject *))

static bool forked;
static PyObject *(*new_tuple)(PyTypeObject *, PyObject *, PyObject *);

PyObject *runner_forget(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    forked = true;
    return none();
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

static bool is_false(PyObject *found)
{
    int truth = found == NULL ? -1 : PyObject_IsTrue(found);
    drop(found);
    return truth == 0;
}

/* Whether this thread is the runner's, with room on its stack, and nothing in the process asks for more care. */
static bool is_place(Runner *runner)
{
    char here;
    uint64_t room = (uint64_t)(&here - runner->stack);
    if (forked || PyThread_get_thread_ident() != runner->thread || &here < runner->stack ||
        room > runner->stack_size || room < runner->stack_need || PySet_Size(runner->left_behind) != 0)
        return false;
    /* A greenlet has a stack of its own. The package is there in every process that uses SQLAlchemy. */
    if (PyDict_GetItemWithError(runner->modules, name(greenlet)) && !is_false(PyObject_CallNoArgs(runner->in_greenlet)))
        return false;
    return !runner->on_main || is_still(runner->signals, name(deferral), Py_None);
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

/* Write the RUN request into the guest's inbox, as bridge/protocol.py does it. Returns its bytes, or NULL: without an
 * exception if it finds no room. */
static PyObject *write_request(Runner *runner, PyObject *code)
{
    char tail[40];
    int size = snprintf(tail + 1, sizeof tail - 1, "<run %lld>", runner->number + 1);
    tail[0] = (char)(0xa0 | size);
    uint8_t *inbox = runner->door->base + runner->inbox;
    Writer to = {inbox, inbox + runner->inbox_size};
    if (!plain_put(&to, "\x94\x01", 2) || !plain_write(&to, code) || !plain_put(&to, tail, (size_t)size + 1) ||
        !plain_put(&to, PyBytes_AsString(runner->options), (size_t)PyBytes_Size(runner->options)))
        return NULL;
    return PyBytes_FromStringAndSize((char *)inbox, to.at - inbox);
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
        /* The watch has to be woken for an earlier one: in Python. */
        if (!set_made(run->stop, name(deadline), PyFloat_FromDouble(deadline)) || deadline < runner->times[0])
            return false;
    }
    if (runner->on_main && runner->times[0] > run->started + HEARTBEAT)
        return false;
    return set(runner->control, name(stop), run->stop) && set(run->express, name(stop), run->stop) &&
           set(runner->guest, name(holder), run->express);
}

static bool is_same(Runner *runner)
{
    return runner->armed && is_false(PyObject_GetAttr(runner->guest, name(ended))) &&
           is_still(runner->guest, name(running), runner->running) && runner->door->context != NULL &&
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
    PyObject *taken = PyObject_CallFunctionObjArgs(runner->acquire, Py_False, NULL);
    drop(taken);
    if (taken != Py_True)
        return false;
    run->started = now();
    if (is_same(runner) && (run->stop = PyObject_CallNoArgs(runner->stop_type)) != NULL && announce(run) &&
        (run->frame = write_request(runner, code)) != NULL)
        return true;
    PyErr_Clear();
    leave_watch(runner);
    if (!set(runner->guest, name(holder), Py_None))
        PyErr_Clear();
    drop(PyObject_CallNoArgs(runner->release));
    return false;
}

static bool open_run(void *context)
{
    Run *run = context;
    run->opened = true;
    PyObject *done = PyObject_CallMethod(run->express, "opened", "Od", run->stop, run->started);
    drop(done);
    return done != NULL;
}

/* The value of a short answer without an error; NULL without an exception for any other. */
static PyObject *short_value(Runner *runner, uint64_t packed)
{
    uint64_t at = packed >> 32, size = packed & UINT32_MAX;
    if (size < 4 || size > SHORT || !door_spans(runner->door, at, size))
        return NULL;
    const uint8_t *bytes = runner->door->base + at;
    if (bytes[0] != 0x93 || bytes[1] != 0 || bytes[size - 1] != 0xc0)
        return NULL;
    Reader from = {bytes + 2, bytes + size - 1};
    PyObject *value = plain_read(&from);
    if (from.at != from.end)
        replace(&value, NULL);
    return value;
}

/* What a run leaves beside its value: its records and their number, output, and for the journal what it was answered. */
typedef struct {
    PyObject *whole, *records, *out, *err, *answers;
    long long printed, weight;
    int calls;
} Account;

/* False if the run is to be concluded in Python, or with an exception set. */
static bool account_of(Run *run, Account *account)
{
    account->whole = run->opened ? PyObject_CallMethod(run->express, "served", NULL)
                                 : Py_BuildValue("[]iOOL[]L", 0, no_text, no_text, 0LL, 0LL);
    return account->whole != NULL && account->whole != Py_None &&
           PyArg_ParseTuple(account->whole, "OiOOLOL", &account->records, &account->calls, &account->out, &account->err,
                            &account->printed, &account->answers, &account->weight);
}

/* Note the step for the journal: request, answers, and a check of the response. */
static bool note_step(Run *run, uint64_t packed, const Account *account)
{
    Runner *runner = run->runner;
    if (!runner->keeps)
        return true;
    const char *at = (const char *)runner->door->base + (packed >> 32);
    PyObject *response = PyBytes_FromStringAndSize(at, (Py_ssize_t)(packed & UINT32_MAX));
    PyObject *step = response == NULL ? NULL : Py_BuildValue("OOn", run->frame, account->answers,
                                                             (Py_ssize_t)PyObject_Hash(response));
    bool done = step != NULL && PyList_Append(runner->steps, step) == 0;
    drop(response);
    drop(step);
    runner->weight += done ? PyBytes_Size(run->frame) + account->weight : 0;
    return done;
}

static PyObject *make_result(Runner *runner, PyObject *value, long long fuel, double seconds, const Account *account)
{
    PyObject *result = NULL, *fields = Py_BuildValue("((LdKLi))", fuel, seconds, (unsigned long long)runner->door->size,
                                                     account->printed, account->calls);
    /* What a named tuple's own __new__ does, without its Python frame. */
    PyObject *usage = fields == NULL ? NULL : new_tuple((PyTypeObject *)runner->usage_type, fields, NULL);
    if (usage != NULL)
        result = PyObject_CallFunctionObjArgs(runner->result_type, value, Py_None, account->out, account->err, usage,
                                              account->records, NULL);
    drop(fields);
    drop(usage);
    return result;
}

/* Let others use the session. */
static bool end_run(Runner *runner)
{
    bool done = set(runner->guest, name(holder), Py_None);
    drop(PyObject_CallNoArgs(runner->release));
    PyObject *ended = PyObject_GetAttr(runner->guest, name(ended));
    int must_close = ended == NULL ? -1 : PyObject_IsTrue(ended);
    if (must_close > 0) {
        /* It was ended while it ran: whoever did that could not close it. */
        PyObject *closed = PyObject_CallMethod(runner->guest, "end", "O", ended);
        done = done && closed != NULL;
        drop(closed);
    }
    drop(ended);
    return done && must_close >= 0;
}

static PyObject *conclude_usual(Run *run, PyObject *value, double seconds, const Account *account)
{
    Runner *runner = run->runner;
    long long fuel = runner->fuel - runner->door->meter[LEFT];
    runner->number++;
    runner->runs++;
    runner->used += fuel;
    runner->spent += seconds;
    if (PyBytes_Size(runner->options) > 1) {
        /* The guest knows it now. */
        PyObject *rest = PyObject_CallMethod(runner->guest, "learn", NULL);
        replace(&runner->options, rest);
        drop(rest);
    }
    return end_run(runner) ? make_result(runner, value, fuel, seconds, account) : NULL;
}

static PyObject *conclude_any(Run *run, bool left_well, uint64_t packed, void *error, void *trap)
{
    PyObject *outcome = left_well ? PyLong_FromUnsignedLongLong(packed) : Py_BuildValue("KK", error, trap);
    return PyObject_CallMethod(run->express, "concluded", "OOOdN", run->session, run->frame, run->stop, run->started, outcome);
}

static PyObject *perform(Run *run)
{
    Runner *runner = run->runner;
    Door *door = runner->door;
    uint64_t packed = 0;
    void *error = NULL, *trap = NULL;
    Py_ssize_t size = PyBytes_Size(run->frame);
    door->meter[LEFT] = runner->fuel;
    door->meter[LOOK_NOW] = door->meter[ENDED] = 0;
    door->running = true;
    runner->times[1] += 1;
    door->opening = open_run;
    door->run = run;
    bool left_well = door_enter(door, door->step, (uint32_t)size, &packed, &error, &trap);
    door->opening = NULL;
    leave_watch(runner);
    PyObject *value = left_well && door->raised == NULL ? short_value(runner, packed) : NULL, *result = NULL;
    double seconds = now() - run->started;
    Account account = {.whole = NULL};
    /* The size as it is now, for the usage. */
    door_spans(door, UINT32_MAX, UINT32_MAX);
    if (value != NULL && account_of(run, &account) && note_step(run, packed, &account))
        result = conclude_usual(run, value, seconds, &account);
    else if (PyErr_Occurred() == NULL)
        result = conclude_any(run, left_well, packed, error, trap);
    drop(account.whole);
    drop(value);
    return result;
}

/* run(code, express, session) -> Result, or None where it is to be done in Python */
static PyObject *runner_run(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Runner *runner = (Runner *)self;
    if (count != 3 || Py_TYPE(args[0]) != &PyUnicode_Type || !has_room(runner))
        return none();
    /* To ask for the tools is the last Python code that may run before the session is taken. */
    if (!is_place(runner) || !knows_tools(runner))
        return PyErr_Occurred() ? NULL : none();
    Run run = {runner, args[1], args[2], NULL, NULL, 0.0, false};
    Py_IncRef(self);
    PyObject *result = begin(&run, args[0]) ? perform(&run) : none();
    drop(run.frame), drop(run.stop), drop(self);
    return result;
}

/* arm(number, version, fuel, seconds, options, fuel_room, weight_room, steps_room): usual runs may come, the next one of this
 * number + 1 */
static PyObject *runner_arm(PyObject *self, PyObject *args)
{
    Runner *runner = (Runner *)self;
    PyObject *options;
    if (!PyArg_ParseTuple(args, "LLLdOLLn", &runner->number, &runner->known, &runner->fuel, &runner->seconds, &options,
                          &runner->fuel_room, &runner->weight_room, &runner->steps_room))
        return NULL;
    replace(&runner->options, options);
    runner->armed = true;
    return none();
}

/* collect(all) -> (runs, fuel, seconds, steps, weight) since the last time, and no more runs until it is armed again; or
 * a tuple of the first three alone, and nothing else */
static PyObject *runner_collect(PyObject *self, PyObject *all)
{
    Runner *runner = (Runner *)self;
    if (all != Py_True)
        return Py_BuildValue("LLd", runner->runs, runner->used, runner->spent);
    PyObject *steps = runner->steps;
    runner->armed = false;
    if ((runner->steps = PyList_New(0)) == NULL) {
        runner->steps = steps;
        return NULL;
    }
    PyObject *done = Py_BuildValue("LLdNL", runner->runs, runner->used, runner->spent, steps, runner->weight);
    runner->runs = runner->used = runner->weight = 0;
    runner->spent = 0.0;
    return done;
}

static void runner_dealloc(PyObject *self)
{
    Runner *runner = (Runner *)self;
    PyTypeObject *type = Py_TYPE(self);
    clear(runner->parts, PARTS);
    ((void (*)(void *))PyType_GetSlot(type, Py_tp_free))(self);
    Py_DecRef((PyObject *)type);
}

/* Runner(parts, times' address, (inbox, its size), (thread, on main), (stack's lowest address, its size, what is needed),
 * keeps); the parts are those of the struct, in its order */
static PyObject *runner_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)keywords;
    PyObject *parts;
    Runner *runner = (Runner *)PyType_GenericAlloc(type, 0);
    if (runner == NULL)
        return NULL;
    runner->steps = PyList_New(0);
    bool done = runner->steps != NULL &&
                PyArg_ParseTuple(args, "OK(KK)(kp)(KKK)p", &parts, &runner->times, &runner->inbox, &runner->inbox_size,
                                 &runner->thread, &runner->on_main, &runner->stack, &runner->stack_size,
                                 &runner->stack_need, &runner->keeps);
    for (size_t index = 0; done && index < PARTS - 2; index++) {
        PyObject *part = PyTuple_GetItem(parts, (Py_ssize_t)index);
        replace(&runner->parts[index], part);
        done = part != NULL;
    }
    if (!done) {
        Py_DecRef((PyObject *)runner);
        return NULL;
    }
    return (PyObject *)runner;
}

static PyMethodDef runner_methods[] = {
    {"run", (PyCFunction)(void (*)(void))runner_run, METH_FASTCALL, "Run a program, or return None."},
    {"arm", runner_arm, METH_VARARGS, "Let usual runs come."},
    {"collect", runner_collect, METH_O, "Take what was done, and disarm; or only return what was used."},
    {NULL, NULL, 0, NULL},
};

TYPE_OF(runner, Runner, "cloche._host.Runner", "A session's usual runs.");

int runner_prepare(void)
{
    *(void **)&new_tuple = PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    return new_tuple == NULL ? -1 : 0;
}
