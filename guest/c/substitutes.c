/* Builtins that go through a generator, or call a Python function for each item. Where an eval loop calls one of them
 * itself, Python functions of ours do the same in their place (guest/prelude/substitutes.py), with no C below what they
 * call: the program can be left there. Everywhere else they are what they were. So does a `for` over a map and its like.
 *
 * CPython's own functions ask, where they are called with something that is gone through in Python, or with a key. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define Py_BUILD_CORE
#include "opcode_ids.h"
#include "pycore_descrobject.h"
#include "pycore_frame.h"
#include "pycore_global_objects.h"
#include "pycore_pystate.h"
#include "pycore_runtime.h"
#include "pycore_suspend.h"
#include "pycore_tuple.h"
#undef Py_BUILD_CORE

#include "cloche.h"

enum {
    ANY, ALL, LIST, TUPLE, SET, FROZENSET, DICT, SUM, BEST, JOIN, SORTED, SORT, REDUCE, CODE,
    MAPPED, SEVERAL, FILTERED, PAIRS, ZIPPED, NUMBERED, FUNCTIONS
};
static const char *const names[] = {"any",    "all",     "list",     "tuple", "set",    "frozenset", "dict",
                                    "sum",    "best",    "join",     "sorted", "sort",  "reduce",    "call",
                                    "mapped", "several", "filtered", "pairs", "zipped", "numbered"};
static PyObject *functions[FUNCTIONS];

/* Beginnings of bltinmodule.c's and enumobject.c's structures. */
typedef struct { PyObject_HEAD PyObject *iterators, *function; } Map;
typedef struct { PyObject_HEAD PyObject *function, *iterator; } Filter;
typedef struct { PyObject_HEAD Py_ssize_t size; PyObject *iterators, *result; int strict; } Zip;
typedef struct { PyObject_HEAD Py_ssize_t index; PyObject *iterator, *result, *large_index; } Enumerate;

/* One in another, looked into. */
enum { MAX_NESTED = 4 };
static bool draws(PyObject *walk, int depth);

static inline bool may_draw(PyObject *iterator, int depth) {
    return Py_TYPE(iterator)->tp_flags & _PY_TPFLAGS_DRAWS && draws(iterator, depth);
}

static bool one_draws(PyObject *iterators, int depth) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(iterators); i++)
        if (may_draw(PyTuple_GET_ITEM(iterators, i), depth)) return true;
    return false;
}

static bool draws(PyObject *walk, int depth) {
    const PyTypeObject *type = Py_TYPE(walk);
    if (type == &PyGen_Type) return true;
    if (!depth) return false;
    if (type == &PyMap_Type)
        return PyFunction_Check(((Map *)walk)->function) || one_draws(((Map *)walk)->iterators, depth - 1);
    if (type == &PyFilter_Type)
        return PyFunction_Check(((Filter *)walk)->function) || may_draw(((Filter *)walk)->iterator, depth - 1);
    if (type == &PyZip_Type) return !((Zip *)walk)->strict && one_draws(((Zip *)walk)->iterators, depth - 1);
    /* It counts, so nobody else may see it. */
    return depth == MAX_NESTED && Py_REFCNT(walk) == 1 && !((Enumerate *)walk)->large_index &&
           may_draw(((Enumerate *)walk)->iterator, depth - 1);
}

/* Whether going through it runs Python code of the program. */
static inline bool is_walk(PyObject *value) { return may_draw(value, MAX_NESTED); }

/* Whether the eval loop has made this call, of the builtin of that name, which has asked. */
static bool is_called(PyObject *const *args, const char *name) {
    PyObject *callable = _PyEval_CalledAs(args);
    if (!callable) return false;
    if (PyCFunction_CheckExact(callable)) return !strcmp(((PyCFunctionObject *)callable)->m_ml->ml_name, name);
    return Py_IS_TYPE(callable, &PyMethodDescr_Type) &&
           !strcmp(((PyMethodDescrObject *)callable)->d_method->ml_name, name);
}

/* Has one of our functions called instead. The first argument is stolen: NULL is an error that is set already. What it
 * returns is returned by the C function that is left. */
static PyObject *instead(int function, PyObject *first, PyObject *second, PyObject *third, PyObject *fourth) {
    PyObject *args[] = {first, second, third, fourth};
    Py_ssize_t n = 0;
    while (n < 4 && args[n]) n++;
    if (first && !_PyEval_CallInstead(functions[function], args, n))
        PyErr_SetString(PyExc_SystemError, "a substitute is not a plain function");
    else if (first && function != CODE)
        /* Its frame is not the program's: it gives this back by uncount(). */
        _PyThreadState_GET()->py_recursion_remaining++;
    Py_XDECREF(first);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *walk_of(PyObject *value);

/* What a walk of ours goes through in place of an iterator. */
static PyObject *source_of(PyObject *iterator) {
    return may_draw(iterator, MAX_NESTED - 1) ? walk_of(iterator) : Py_NewRef(iterator);
}

/* Calls one of our functions that are generators. Takes both arguments; either may be NULL with an exception. */
static PyObject *walk(int function, PyObject *first, PyObject *second) {
    PyObject *args[] = {first, second};
    PyObject *made = first && second ? PyObject_Vectorcall(functions[function], args, 2, NULL) : NULL;
    Py_XDECREF(first);
    Py_XDECREF(second);
    return made;
}

static PyObject *zipped(PyObject *iterators) {
    Py_ssize_t n = PyTuple_GET_SIZE(iterators);
    if (n == 2) return walk(PAIRS, source_of(PyTuple_GET_ITEM(iterators, 0)), source_of(PyTuple_GET_ITEM(iterators, 1)));
    PyObject *sources = PyTuple_New(n);
    for (Py_ssize_t i = 0; sources && i < n; i++) {
        PyObject *source = source_of(PyTuple_GET_ITEM(iterators, i));
        if (source)
            PyTuple_SET_ITEM(sources, i, source);
        else
            Py_CLEAR(sources);
    }
    PyObject *made = sources ? PyObject_CallOneArg(functions[ZIPPED], sources) : NULL;
    Py_XDECREF(sources);
    return made;
}

/* A generator that goes through the same as a walk, from where that is. */
static PyObject *walk_of(PyObject *value) {
    const PyTypeObject *type = Py_TYPE(value);
    if (type == &PyGen_Type) return Py_NewRef(value);
    if (type == &PyZip_Type) return zipped(((Zip *)value)->iterators);
    if (type == &PyMap_Type) {
        const Map *map = (Map *)value;
        bool is_single = PyTuple_GET_SIZE(map->iterators) == 1;
        PyObject *sources = is_single ? source_of(PyTuple_GET_ITEM(map->iterators, 0)) : zipped(map->iterators);
        return walk(is_single ? MAPPED : SEVERAL, Py_NewRef(map->function), sources);
    }
    if (type == &PyFilter_Type) {
        PyObject *test = ((Filter *)value)->function;
        return walk(FILTERED, Py_NewRef(test == Py_None ? (PyObject *)&PyBool_Type : test),
                    source_of(((Filter *)value)->iterator));
    }
    const Enumerate *counted = (Enumerate *)value;
    return walk(NUMBERED, source_of(counted->iterator), PyLong_FromSsize_t(counted->index));
}

/* The definitions whose functions are replaced, and those functions. */
typedef struct {
    PyMethodDef *definition;
    PyCFunction was;
} Replaced;
enum { AN_EXEC, AN_EVAL, A_REDUCE, REPLACED };
static Replaced replaced[REPLACED];

static PyObject *with_keywords(int which, PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    return ((PyCFunctionFastWithKeywords)(void *)replaced[which].was)(self, args, n, keywords);
}

static PyObject *any(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    (void)self, (void)n, (void)keywords;
    return is_walk(args[0]) && is_called(args, "any") ? instead(ANY, walk_of(args[0]), NULL, NULL, NULL) : NULL;
}

static PyObject *all(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    (void)self, (void)n, (void)keywords;
    return is_walk(args[0]) && is_called(args, "all") ? instead(ALL, walk_of(args[0]), NULL, NULL, NULL) : NULL;
}

static PyObject *join(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    (void)n, (void)keywords;
    return is_walk(args[0]) && is_called(args, "join") ? instead(JOIN, walk_of(args[0]), self, NULL, NULL) : NULL;
}

static PyObject *sum(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    (void)self;
    Py_ssize_t all = n + (keywords ? PyTuple_GET_SIZE(keywords) : 0);
    bool fits = n >= 1 && all <= 2 && (all == n || PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(keywords, 0), "start"));
    if (!fits || !is_walk(args[0]) || !is_called(args, "sum")) return NULL;
    PyObject *start = all == 2 ? args[1] : NULL;
    bool is_text = start && (PyUnicode_Check(start) || PyBytes_Check(start) || PyByteArray_Check(start));
    return is_text ? NULL : instead(SUM, walk_of(args[0]), start, NULL, NULL);
}

/* Sets the values of two keywords. Returns false for any others. */
static bool take_keywords(PyObject *const *args, Py_ssize_t n, PyObject *keywords, const char *const wanted[2],
                          PyObject *values[2]) {
    for (Py_ssize_t i = 0; keywords && i < PyTuple_GET_SIZE(keywords); i++) {
        int which = PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(keywords, i), wanted[0])   ? 0
                    : PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(keywords, i), wanted[1]) ? 1
                                                                                       : -1;
        if (which < 0) return false;
        values[which] = args[n + i];
    }
    return true;
}

/* Of several arguments the key is called by C: that takes less than a call of ours. */
static PyObject *best(PyObject *greatest, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    static const char *const wanted[] = {"key", "default"};
    PyObject *found[2] = {NULL, NULL};
    if (n != 1 || !take_keywords(args, n, keywords, wanted, found)) return NULL;
    PyObject *key = found[0] ? found[0] : Py_None;
    bool walks = is_walk(args[0]);
    if (!(PyFunction_Check(key) || (walks && key == Py_None)) || !is_called(args, greatest == Py_True ? "max" : "min"))
        return NULL;
    PyObject *items = walks ? walk_of(args[0]) : PyObject_GetIter(args[0]);
    return instead(BEST, items, key, greatest, found[1]);
}

static PyObject *least(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    (void)self;
    return best(Py_False, args, n, keywords);
}

static PyObject *greatest(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    (void)self;
    return best(Py_True, args, n, keywords);
}

static const char *const of_sort[] = {"key", "reverse"};

static PyObject *sorted(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    (void)self;
    PyObject *found[2] = {NULL, NULL};
    if (n != 1 || !take_keywords(args, n, keywords, of_sort, found)) return NULL;
    PyObject *key = found[0] ? found[0] : Py_None, *reverse = found[1] ? found[1] : Py_False;
    bool calls = PyFunction_Check(key), walks = is_walk(args[0]);
    if (!(calls || walks) || !PyBool_Check(reverse) || !is_called(args, "sorted")) return NULL;
    return instead(SORTED, walks ? walk_of(args[0]) : PySequence_List(args[0]), key, reverse, NULL);
}

static PyObject *sort(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    PyObject *found[2] = {NULL, NULL};
    if (n != 0 || !PyList_CheckExact(self) || !take_keywords(args, n, keywords, of_sort, found)) return NULL;
    PyObject *key = found[0] ? found[0] : Py_None, *reverse = found[1] ? found[1] : Py_False;
    if (!PyFunction_Check(key) || !PyBool_Check(reverse) || !is_called(args, "sort")) return NULL;
    return instead(SORT, Py_NewRef(self), key, reverse, NULL);
}

static PyObject *make(PyObject *type, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    (void)keywords;
    int function = type == (PyObject *)&PyList_Type        ? LIST
                   : type == (PyObject *)&PyTuple_Type     ? TUPLE
                   : type == (PyObject *)&PySet_Type       ? SET
                   : type == (PyObject *)&PyFrozenSet_Type ? FROZENSET
                   : type == (PyObject *)&PyDict_Type      ? DICT
                                                           : FUNCTIONS;
    if (function == FUNCTIONS || n != 1 || !is_walk(args[0]) || _PyEval_CalledAs(args) != type) return NULL;
    return instead(function, walk_of(args[0]), NULL, NULL, NULL);
}

static PyObject *reduce(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    if (keywords && PyTuple_GET_SIZE(keywords))
        return PyErr_Format(PyExc_TypeError, "reduce() takes no keyword arguments");
    if ((n == 2 || n == 3) && PyFunction_Check(args[0]) && is_called(args, "reduce")) {
        PyObject *items = is_walk(args[1]) ? walk_of(args[1]) : PyObject_GetIter(args[1]);
        if (items) return instead(REDUCE, items, args[0], n == 3 ? args[2] : NULL, NULL);
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) return NULL;
        PyErr_Clear();
    }
    PyObject *all = _PyTuple_FromArray(args, n);
    PyObject *result = all ? replaced[A_REDUCE].was(self, all) : NULL;
    Py_XDECREF(all);
    return result;
}

/* The globals of code that exec() or eval() runs, where they are the locals too (borrowed); else NULL. */
static PyObject *plain_globals(PyObject *const *args, Py_ssize_t n) {
    PyObject *globals = n > 1 ? args[1] : Py_None, *locals = n > 2 ? args[2] : Py_None;
    if (globals != Py_None) return PyDict_CheckExact(globals) && (locals == Py_None || locals == globals) ? globals : NULL;
    _PyInterpreterFrame *frame = _PyThreadState_GET()->current_frame;
    /* A comprehension of a module has variables that are in no dict. */
    return locals == Py_None && !_PyFrame_HasHiddenLocals(frame) && frame->f_locals == frame->f_globals && PyDict_CheckExact(frame->f_globals)
               ? frame->f_globals
               : NULL;
}

/* The code of a source text, as PyRun_StringFlags() has it. */
static PyObject *code_of(PyObject *source, int start) {
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(source, &size);
    if (!text || strlen(text) != (size_t)size) return NULL;
    PyCompilerFlags flags = {PyCF_SOURCE_IS_UTF8 | PyCF_IGNORE_COOKIE, PY_MINOR_VERSION};
    while (start == Py_eval_input && (*text == ' ' || *text == '\t')) text++;
    PyEval_MergeCompilerFlags(&flags);
    return Py_CompileStringExFlags(text, "<string>", start, &flags, -1);
}

static bool has_nulls(PyObject *source) {
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(source, &size);
    return !text || strlen(text) != (size_t)size;
}

static PyObject *run(int which, PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    PyObject *globals, *source = n ? args[0] : NULL;
    if (keywords || n < 1 || n > 3 || !(PyUnicode_CheckExact(source) || PyCode_Check(source)) ||
        (PyCode_Check(source) && PyCode_GetNumFree((PyCodeObject *)source)) ||
        !is_called(args, which == AN_EXEC ? "exec" : "eval") || !(globals = plain_globals(args, n)))
        return with_keywords(which, self, args, n, keywords);
    if (PyUnicode_Check(source) && has_nulls(source)) {
        PyErr_Clear();
        return with_keywords(which, self, args, n, keywords);
    }
    int there = PyDict_ContainsString(globals, "__builtins__");
    if (there < 0 || (!there && PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) < 0)) return NULL;
    bool is_text = PyUnicode_Check(source);
    PyObject *code = is_text ? code_of(source, which == AN_EVAL ? Py_eval_input : Py_file_input) : Py_NewRef(source);
    PyObject *function = code ? PyFunction_New(code, globals) : NULL;
    Py_XDECREF(code);
    /* exec() returns None, whatever its code does. */
    if (!function || !(is_text || which == AN_EVAL)) return instead(CODE, function, NULL, NULL, NULL);
    _PyEval_CallInstead(function, NULL, 0);
    Py_DECREF(function);
    Py_RETURN_NONE;
}

static PyObject *exec(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    return run(AN_EXEC, self, args, n, keywords);
}

static PyObject *eval(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    return run(AN_EVAL, self, args, n, keywords);
}

/* A walk of ours counts for the limit of recursion: far from it, so that this is hardly ever seen. */
enum { MAX_WALK_DEPTH = 100 };

static PyObject *loop_over(PyObject *self) {
    if (!draws(self, MAX_NESTED)) return Py_NewRef(self);
    const PyThreadState *tstate = _PyThreadState_GET();
    _PyInterpreterFrame *frame = tstate->current_frame;
    bool is_loop = frame && frame->owner != FRAME_OWNED_BY_CSTACK && frame->instr_ptr->op.code == GET_ITER &&
                   !tstate->c_tracefunc && !tstate->c_profilefunc && !_PyFrame_GetCode(frame)->_co_monitoring;
    if (!is_loop || tstate->py_recursion_limit - tstate->py_recursion_remaining > MAX_WALK_DEPTH) return Py_NewRef(self);
    return walk_of(self);
}

static inline bool is_c(PyObject *iterator) { return !(Py_TYPE(iterator)->tp_flags & _PY_TPFLAGS_DRAWS); }

/* iter() of what goes through others. A loop has it to itself: it goes through a generator of ours. First, at little
 * cost, the usual cases in which there is nothing to do. */
static PyObject *iterate(PyObject *self) {
    return Py_REFCNT(self) == 1 ? loop_over(self) : Py_NewRef(self);
}

static PyObject *iterate_enumerate(PyObject *self) {
    return is_c(((Enumerate *)self)->iterator) ? Py_NewRef(self) : iterate(self);
}

static PyObject *iterate_zip(PyObject *self) {
    PyObject *iterators = ((Zip *)self)->iterators;
    bool are_c = PyTuple_GET_SIZE(iterators) == 2 && is_c(PyTuple_GET_ITEM(iterators, 0)) && is_c(PyTuple_GET_ITEM(iterators, 1));
    return are_c ? Py_NewRef(self) : iterate(self);
}

/* Puts a C function behind a builtin; `like` is one that is called in the same way. Returns false with an exception. */
static bool replace(int which, PyObject *builtin, PyObject *like, PyCFunction function) {
    if (!builtin || !like) return false;
    PyMethodDef *definition = ((PyCFunctionObject *)builtin)->m_ml;
    replaced[which] = (Replaced){definition, definition->ml_meth};
    definition->ml_meth = function;
    if (which == A_REDUCE) definition->ml_flags = METH_FASTCALL | METH_KEYWORDS;
    ((PyCFunctionObject *)builtin)->vectorcall = ((PyCFunctionObject *)like)->vectorcall;
    return true;
}

static PyObject *builtin(const char *name) { return PyDict_GetItemString(PyEval_GetBuiltins(), name); }

static bool replace_builtin(int which, const char *name, const char *like, void *function) {
    return replace(which, builtin(name), builtin(like), (PyCFunction)function);
}

static void replace_types(void) {
    PyTypeObject *const walks[] = {&PyMap_Type, &PyFilter_Type, &PyZip_Type, &PyEnum_Type, &PyGen_Type};
    for (int i = 0; i < 5; i++) {
        walks[i]->tp_flags |= _PY_TPFLAGS_DRAWS;
        if (walks[i] != &PyGen_Type) walks[i]->tp_iter = iterate;
    }
    PyEnum_Type.tp_iter = iterate_enumerate, PyZip_Type.tp_iter = iterate_zip;
    const _PyInstead asked[] = {any, all, sum, least, greatest, sorted, sort, join, make};
    memcpy(_PyEval_Instead, asked, sizeof asked);
}

/* substitute(functions: dict, reduce): done once, while the image is made. */
PyObject *cloche_substitute(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *given, *its_reduce;
    if (!PyArg_ParseTuple(args, "O!O", &PyDict_Type, &given, &its_reduce) || _PyThen_Init() < 0) return NULL;
    for (int i = 0; i < FUNCTIONS; i++) {
        functions[i] = Py_XNewRef(PyDict_GetItemString(given, names[i]));
        if (!functions[i]) return PyErr_Format(PyExc_KeyError, "no function for %s", names[i]);
    }
    if (!replace_builtin(AN_EXEC, "exec", "exec", exec) || !replace_builtin(AN_EVAL, "eval", "eval", eval) ||
        !replace(A_REDUCE, its_reduce, builtin("sum"), (PyCFunction)(void *)reduce))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_KeyError, "a builtin is missing");
    replace_types();
    Py_RETURN_NONE;
}

/* begin_count() -> int: a program begins, for whose limit of recursion the frames below it do not count. Returns how many
 * these are, for end_count(). */
PyObject *cloche_begin_count(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    PyThreadState *tstate = _PyThreadState_GET();
    int below = tstate->py_recursion_limit - tstate->py_recursion_remaining;
    tstate->py_recursion_remaining += below;
    return PyLong_FromLong(below);
}

/* end_count(below): it has ended, and they count again. */
PyObject *cloche_end_count(PyObject *module, PyObject *below) {
    (void)module;
    _PyThreadState_GET()->py_recursion_remaining -= (int)PyLong_AsLong(below);
    Py_RETURN_NONE;
}

/* uncount(): one of our functions ends, whose frame was not counted. */
PyObject *cloche_uncount(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    _PyThreadState_GET()->py_recursion_remaining--;
    Py_RETURN_NONE;
}

static PyObject *next_key(PyObject *keys, PyObject *item) {
    (void)item;
    return PyIter_Next(keys);
}

/* sort_by(items: list, keys: list, reverse: bool): sorts items by keys[i] for items[i]. */
PyObject *cloche_sort_by(PyObject *module, PyObject *args) {
    (void)module;
    static PyMethodDef of_key = {"next", next_key, METH_O, NULL};
    PyObject *items, *keys, *reverse;
    if (!PyArg_ParseTuple(args, "O!O!O", &PyList_Type, &items, &PyList_Type, &keys, &reverse)) return NULL;
    PyObject *iterator = PyObject_GetIter(keys);
    PyObject *key = iterator ? PyCFunction_New(&of_key, iterator) : NULL;
    Py_XDECREF(iterator);
    PyObject *keywords = key ? Py_BuildValue("(ss)", of_sort[0], of_sort[1]) : NULL;
    PyObject *values[] = {items, key, reverse}, *result = NULL;
    if (keywords) result = PyObject_VectorcallMethod(&_Py_ID(sort), values, 1, keywords);
    Py_XDECREF(keywords);
    Py_XDECREF(key);
    return result;
}
