/* One run of an armed session, from its text to its result. Session.run (runtime/session/session.py) asks here first.
 *
 * `run` returns None, with nothing done, whenever anything is not as it was when the runner was armed: then the way in
 * Python does it all. What happens between taking the session and releasing it runs no Python code of ours, so that no
 * signal's handler can come in between; and what it takes is undone on each way out. Where the guest calls its first
 * import, `Express.opened` has Python serve it, and `Express.served` says at the end what there is beside a short plain
 * value. A run that ends in another way is ended by `Express.concluded`, as any other run. */
#include "runner.h"

#include <string.h>

#include "door.h"
#include "names.h"
#include "plain.h"

/* As in runtime/wasm/deadlines.py. */
#define HEARTBEAT 0.05
/* What the guest answers as a rule: no value, no error. */
static const uint8_t NOTHING[4] = {0x93, 0x00, 0xc0, 0xc0};

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
    double *times;        /* the watch's: when it looks next, and how many guests have entered */
    uint64_t inbox;       /* where requests are written, and the bytes that fit */
    uint64_t inbox_size;
    long long known;      /* the dispatcher's version */
    long long fuel;       /* what a run may use */
    double seconds;       /* what it may take; negative for no bound */
    char *stack;          /* the lowest address of this thread's stack, its size, and what a guest needs of it */
    uint64_t stack_size, stack_need;
    unsigned long thread; /* the one that may run it */
    int on_main, keeps;
    bool armed;
    /* What was done since it was armed: for SessionGuest.collect. */
    long long number, runs, used, weight;
    double spent;
    /* What may be done before the journal wants to be asked. */
    long long fuel_room, weight_room;
    Py_ssize_t steps_room;
} Runner;

#define PARTS (sizeof((Runner *)0)->parts / sizeof(PyObject *))

static bool forked;
static PyObject *no_text;
static PyObject *(*new_tuple)(PyTypeObject *, PyObject *, PyObject *);

PyObject *runner_now(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyFloat_FromDouble(now());
}

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

static bool is_empty(PyObject *owner, PyObject *name)
{
    return is_false(PyObject_GetAttr(owner, name));
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

static bool put(Writer *to, const char *bytes, size_t size)
{
    if ((size_t)(to->end - to->at) < size)
        return false;
    memcpy(to->at, bytes, size);
    to->at += size;
    return true;
}

/* Write the RUN request into the guest's inbox, as bridge/protocol.py does it. Returns its bytes, or NULL: without an
 * exception if it finds no room. */
static PyObject *write_request(Runner *runner, PyObject *code)
{
    char tail[40], digits[20];
    size_t count = 0, size = 6;
    for (long long number = runner->number + 1; number > 0; number /= 10)
        digits[count++] = (char)('0' + number % 10);
    memcpy(tail + 1, "<run ", 5);
    while (count > 0)
        tail[size++] = digits[--count];
    tail[size] = '>';
    tail[0] = (char)(0xa0 | size);
    uint8_t *inbox = runner->door->base + runner->inbox;
    Writer to = {inbox, inbox + runner->inbox_size};
    if (!put(&to, "\x94\x01", 2) || !plain_write(&to, code) || !put(&to, tail, size + 1) ||
        !put(&to, PyBytes_AsString(runner->options), (size_t)PyBytes_Size(runner->options)))
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

static bool take(Runner *runner)
{
    PyObject *taken = PyObject_CallFunctionObjArgs(runner->acquire, Py_False, NULL);
    drop(taken);
    return taken == Py_True;
}

static void give_back(Runner *runner)
{
    drop(PyObject_CallNoArgs(runner->release));
}

static bool is_same(Runner *runner)
{
    return runner->armed && is_empty(runner->guest, name(ended)) &&
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
    if (!take(runner))
        return false;
    run->started = now();
    if (is_same(runner) && (run->stop = PyObject_CallNoArgs(runner->stop_type)) != NULL && announce(run) &&
        (run->frame = write_request(runner, code)) != NULL)
        return true;
    PyErr_Clear();
    leave_watch(runner);
    if (!set(runner->guest, name(holder), Py_None))
        PyErr_Clear();
    give_back(runner);
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
    if (size < sizeof NOTHING || size > SHORT || !door_spans(runner->door, at, size))
        return NULL;
    const uint8_t *bytes = runner->door->base + at;
    if (size == sizeof NOTHING && memcmp(bytes, NOTHING, sizeof NOTHING) == 0)
        return none();
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
    give_back(runner);
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
    if (!is_place(runner))
        return PyErr_Occurred() ? NULL : none();
    /* The last Python code that may run before the session is taken. */
    if (!knows_tools(runner))
        return PyErr_Occurred() ? NULL : none();
    Run run = {runner, args[1], args[2], NULL, NULL, 0.0, false};
    PyObject *result = NULL;
    Py_IncRef(self);
    if (begin(&run, args[0]))
        result = perform(&run);
    else
        result = none();
    if (run.frame != NULL)
        Py_DecRef(run.frame);
    if (run.stop != NULL)
        Py_DecRef(run.stop);
    Py_DecRef(self);
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

/* collect() -> (runs, fuel, seconds, steps, weight) since the last time; no more runs until it is armed again */
static PyObject *runner_collect(PyObject *self, PyObject *unused)
{
    (void)unused;
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
static PyObject *runner_so_far(PyObject *self, PyObject *unused)
{
    (void)unused;
    Runner *runner = (Runner *)self;
    return Py_BuildValue("LLd", runner->runs, runner->used, runner->spent);
}

static void runner_dealloc(PyObject *self)
{
    Runner *runner = (Runner *)self;
    PyTypeObject *type = Py_TYPE(self);
    for (size_t index = 0; index < PARTS; index++)
        replace(&runner->parts[index], NULL);
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
    no_text = PyUnicode_InternFromString("");
    *(void **)&new_tuple = PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    return no_text == NULL || new_tuple == NULL ? -1 : 0;
}
