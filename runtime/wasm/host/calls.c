#include "calls.h"

#include <time.h>

#include "names.h"
#include "plain.h"

/* As in runtime/result.py. */
#define CALL_COST 640

PyObject *no_text;
static PyObject *no_arguments;

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK, &time);
    /* As time.perf_counter rounds it. */
    return (double)((int64_t)time.tv_sec * 1000000000 + time.tv_nsec) / 1e9;
}

void calls_forget(Calls *calls)
{
    calls->asked = calls->usual = false;
    clear(calls->parts, sizeof calls->parts / sizeof *calls->parts);
}

/* Ask what this run's calls need. False with an exception set; `usual` says what was answered. */
static bool ask(Calls *calls, PyObject *handlers)
{
    PyObject *facts = PyObject_CallMethod(handlers, "usual_calls", NULL), *parts;
    if (facts == NULL)
        return false;
    calls->asked = true;
    calls->usual = facts != Py_None;
    bool done = !calls->usual || PyArg_ParseTuple(facts, "OdLL", &parts, &calls->deadline, &calls->max_calls,
                                                  &calls->max_memory);
    for (size_t index = 0; done && calls->usual && index < sizeof calls->parts / sizeof *calls->parts; index++)
        replace(&calls->parts[index], PyTuple_GetItem(parts, (Py_ssize_t)index));
    Py_DecRef(facts);
    return done;
}

static bool read_number(PyObject *owner, PyObject *name, long long *number)
{
    PyObject *found = PyObject_GetAttr(owner, name);
    if (found == NULL)
        return false;
    *number = PyLong_AsLongLong(found);
    Py_DecRef(found);
    return PyErr_Occurred() == NULL;
}

bool is_still(PyObject *owner, PyObject *name, PyObject *expected)
{
    PyObject *found = PyObject_GetAttr(owner, name);
    drop(found);
    return found == expected;
}

bool set_made(PyObject *owner, PyObject *name, PyObject *made)
{
    bool done = made != NULL && PyObject_SetAttr(owner, name, made) == 0;
    drop(made);
    return done;
}

/* Whether the run may continue: 1, 0 if it must end, -1 with an exception set. */
static int may_continue(Calls *calls, double moment)
{
    PyObject *reason = PyObject_GetAttr(calls->stop, name(reason));
    drop(reason);
    return reason == NULL ? -1 : reason == Py_None && moment < calls->deadline;
}

/* Whether any tool suspends by now: then a call may have to wait. -1 with an exception set. */
static int may_wait(Calls *calls)
{
    if (calls->suspends == Py_None)
        return 0;
    PyObject *answer = PyObject_CallNoArgs(calls->suspends);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);
    drop(answer);
    return truth;
}

typedef struct {
    PyObject *name, *args, *kwargs;
} Asked;

/* Read the call frame of a name, a list and a dict; false if it is anything else. */
static bool read_call(const uint8_t *frame, uint32_t size, Asked *asked)
{
    if (size < 5 || size > SHORT || frame[0] != 0x94 || frame[1] != 0x00)
        return false;
    Reader from = {frame + 2, frame + size};
    asked->name = plain_read(&from);
    if (asked->name != NULL && Py_TYPE(asked->name) == &PyUnicode_Type)
        asked->args = plain_read(&from);
    if (asked->args != NULL && Py_TYPE(asked->args) == &PyList_Type)
        asked->kwargs = plain_read(&from);
    return asked->kwargs != NULL && Py_TYPE(asked->kwargs) == &PyDict_Type && from.at == from.end;
}

/* Open the call's record, as ToolCalls.begin does. NULL with an exception set. */
static PyObject *open_record(Calls *calls, const Asked *asked, double started)
{
    PyObject *(*make)(PyTypeObject *, PyObject *, PyObject *) = NULL;
    *(void **)&make = PyType_GetSlot((PyTypeObject *)calls->record_type, Py_tp_new);
    PyObject *record = make((PyTypeObject *)calls->record_type, no_arguments, NULL);
    if (record != NULL && PyObject_SetAttr(record, name(name), asked->name) == 0 &&
        PyObject_SetAttr(record, name(args), asked->args) == 0 &&
        PyObject_SetAttr(record, name(kwargs), asked->kwargs) == 0 &&
        set_made(record, name(started), PyFloat_FromDouble(started)) &&
        PyList_Append(calls->records, record) == 0)
        return record;
    drop(record);
    return NULL;
}

/* The reply with a short plain value, once the record is closed; NULL if it is another value, or with an exception. */
static PyObject *short_reply(Calls *calls, PyObject *record, PyObject *value, double started)
{
    uint8_t reply[SHORT] = {0x92, 0x00};
    Writer to = {reply + 2, reply + SHORT};
    if (!plain_write(&to, value) || may_continue(calls, now()) != 1 || !is_still(record, name(outcome), name(running)))
        return NULL;
    if (PyObject_SetAttr(calls->run, name(tool), no_text) < 0 || PyObject_SetAttr(record, name(value), value) < 0 ||
        PyObject_SetAttr(record, name(outcome), name(returned)) < 0 ||
        !set_made(record, name(seconds), PyFloat_FromDouble(now() - started)))
        return NULL;
    return PyBytes_FromStringAndSize((char *)reply, to.at - reply);
}

/* Make the call that was opened, and return its reply. */
static PyObject *make_call(Calls *calls, PyObject *record, const Asked *asked, double started)
{
    PyObject *outcome = PyObject_CallFunctionObjArgs(calls->start_call, calls->tools, asked->name, asked->args,
                                                     asked->kwargs, NULL);
    if (outcome == NULL)
        return NULL;
    PyObject *reply = short_reply(calls, record, outcome, started);
    if (reply == NULL && PyErr_Occurred() == NULL)
        reply = PyObject_CallFunctionObjArgs(calls->finish, record, outcome, NULL);
    Py_DecRef(outcome);
    return reply;
}

/* Count a call; false without an exception where Python has to say that it is one too many. */
static bool count(Calls *calls)
{
    long long made, used;
    if (!read_number(calls->run, name(calls_made), &made) || !read_number(calls->memory, name(used), &used))
        return false;
    if (!is_still(calls->memory, name(hurries), Py_False) || (calls->max_calls >= 0 && made >= calls->max_calls) ||
        used + CALL_COST > calls->max_memory)
        return false;
    return set_made(calls->run, name(calls_made), PyLong_FromLongLong(made + 1)) &&
           set_made(calls->memory, name(used), PyLong_FromLongLong(used + CALL_COST));
}

static PyObject *answer_usual(Calls *calls, const Asked *asked)
{
    double started = now();
    int waits = may_wait(calls);
    if (waits != 0 || may_continue(calls, started) != 1 || !count(calls))
        return NULL;
    PyObject *record = open_record(calls, asked, started), *reply = NULL;
    if (record == NULL)
        return NULL;
    /* After the tool is set: whoever interrupts sets the reason first and looks at the tool second. */
    if (PyObject_SetAttr(calls->run, name(tool), asked->name) == 0) {
        int may = may_continue(calls, started);
        if (may == 1)
            reply = make_call(calls, record, asked, started);
        else if (may == 0)
            /* Ends the run. */
            reply = PyObject_CallFunctionObjArgs(calls->finish, record, Py_None, NULL);
    }
    Py_DecRef(record);
    return reply;
}

PyObject *calls_answer(Calls *calls, PyObject *handlers, const uint8_t *frame, uint32_t size)
{
    Asked asked = {NULL, NULL, NULL};
    PyObject *reply = NULL;
    if ((calls->asked || ask(calls, handlers)) && calls->usual && read_call(frame, size, &asked))
        reply = answer_usual(calls, &asked);
    drop(asked.name), drop(asked.args), drop(asked.kwargs);
    if (reply == NULL)
        /* What Python does may change what is usual. */
        calls->asked = false;
    else if (Py_TYPE(reply) == &PyBytes_Type) {
        PyObject *sent = PyBytes_FromStringAndSize((const char *)frame, size);
        PyObject *noted = sent == NULL ? NULL : PyObject_CallFunctionObjArgs(calls->note, sent, reply, NULL);
        drop(sent);
        if (noted == NULL) {
            Py_DecRef(reply);
            return NULL;
        }
        Py_DecRef(noted);
    }
    return reply;
}

int calls_prepare(void)
{
    no_text = PyUnicode_InternFromString("");
    no_arguments = PyTuple_New(0);
    return no_text == NULL || no_arguments == NULL ? -1 : 0;
}
