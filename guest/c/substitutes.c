/* Builtins that go through a generator, or call a Python function for each item. Where an eval loop calls one of them
 * itself, Python functions of ours do the same in their place (guest/prelude/substitutes.py), with no C below what they
 * call: the program can be left there. Everywhere else they are what they were.
 *
 * They are the builtins' own objects: only the C function behind them is another one. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define Py_BUILD_CORE
#include "pycore_descrobject.h"
#include "pycore_frame.h"
#include "pycore_pystate.h"
#include "pycore_suspend.h"
#include "pycore_tuple.h"
#undef Py_BUILD_CORE

#include "cloche.h"

enum { ANY, ALL, LIST, TUPLE, SET, SUM, BEST, JOIN, SORTED, SORT, REDUCE, WALK, CALL, FUNCTIONS };
static const char *const names[] = {"any",  "all",    "list", "tuple",  "set",  "sum", "best",
                                    "join", "sorted", "sort", "reduce", "walk", "call"};
static PyObject *functions[FUNCTIONS];

/* Beginnings of bltinmodule.c's structures. */
typedef struct { PyObject_HEAD PyObject *iterators, *function; } Map;
typedef struct { PyObject_HEAD PyObject *function, *iterator; } Filter;

static bool calls_python(PyObject *walk) {
    return (Py_IS_TYPE(walk, &PyMap_Type) && PyFunction_Check(((Map *)walk)->function)) ||
           (Py_IS_TYPE(walk, &PyFilter_Type) && PyFunction_Check(((Filter *)walk)->function));
}

/* Whether going through it runs Python code of the program. */
static bool is_walk(PyObject *value) { return PyGen_CheckExact(value) || calls_python(value); }

/* Deeper than this nothing is substituted: recursion through C ends at C's limit, and not when memory is full. */
enum { MAX_DEPTH = 1000 };

/* What an eval loop has called with these arguments (borrowed), where something else may be called instead; or NULL. */
static PyObject *called_as(PyObject *const *args) {
    const PyThreadState *tstate = _PyThreadState_GET();
    return tstate->py_recursion_limit - tstate->py_recursion_remaining < MAX_DEPTH ? _PyEval_CalledAs(args) : NULL;
}

/* Whether the eval loop has made this call, of a function or method with that definition. */
static bool is_called(PyObject *const *args, const PyMethodDef *definition) {
    PyObject *callable = called_as(args);
    if (!callable) return false;
    if (PyCFunction_CheckExact(callable)) return ((PyCFunctionObject *)callable)->m_ml == definition;
    return Py_IS_TYPE(callable, &PyMethodDescr_Type) && ((PyMethodDescrObject *)callable)->d_method == definition;
}

/* Has one of our functions called instead. The first argument is stolen: NULL is an error that is set already. What it
 * returns is returned by the C function that is left. */
static PyObject *instead(int function, PyObject *first, PyObject *second, PyObject *third, PyObject *fourth) {
    PyObject *args[] = {first, second, third, fourth};
    Py_ssize_t n = 0;
    while (n < 4 && args[n]) n++;
    if (first && !_PyEval_CallInstead(functions[function], args, n))
        PyErr_SetString(PyExc_SystemError, "a substitute is not a plain function");
    else if (first && function != CALL)
        /* Its frame is not the program's: it gives this back by uncount(). */
        _PyThreadState_GET()->py_recursion_remaining++;
    Py_XDECREF(first);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* A generator that goes through the same: for what is none itself. */
static PyObject *walk_of(PyObject *value) {
    return PyGen_CheckExact(value) ? Py_NewRef(value) : PyObject_CallOneArg(functions[WALK], value);
}

/* The definitions whose functions are replaced, and those functions. */
typedef struct {
    PyMethodDef *definition;
    PyCFunction was;
} Replaced;
enum { A_ANY, AN_ALL, A_SUM, A_MIN, A_MAX, A_SORTED, AN_EXEC, AN_EVAL, A_REDUCE, A_JOIN, A_SORT, REPLACED };
static Replaced replaced[REPLACED];

static PyObject *with_keywords(int which, PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    return ((PyCFunctionFastWithKeywords)(void *)replaced[which].was)(self, args, n, keywords);
}

static PyObject *with_one(int which, const char *name, PyObject *self, PyObject *const *args, Py_ssize_t n) {
    if (n == 1) return replaced[which].was(self, args[0]);
    return PyErr_Format(PyExc_TypeError, "%s() takes exactly one argument (%zd given)", name, n);
}

static PyObject *any(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    if (n == 1 && is_walk(args[0]) && is_called(args, replaced[A_ANY].definition))
        return instead(ANY, walk_of(args[0]), NULL, NULL, NULL);
    return with_one(A_ANY, "any", self, args, n);
}

static PyObject *all(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    if (n == 1 && is_walk(args[0]) && is_called(args, replaced[AN_ALL].definition))
        return instead(ALL, walk_of(args[0]), NULL, NULL, NULL);
    return with_one(AN_ALL, "all", self, args, n);
}

static PyObject *join(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    if (n == 1 && is_walk(args[0]) && is_called(args, replaced[A_JOIN].definition))
        return instead(JOIN, walk_of(args[0]), self, NULL, NULL);
    return with_one(A_JOIN, "str.join", self, args, n);
}

static PyObject *sum(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    Py_ssize_t all = n + (keywords ? PyTuple_GET_SIZE(keywords) : 0);
    if (n >= 1 && all <= 2 && is_walk(args[0]) && is_called(args, replaced[A_SUM].definition) &&
        (!keywords || all == n || PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(keywords, 0), "start"))) {
        PyObject *start = all == 2 ? args[1] : NULL;
        if (!start || !(PyUnicode_Check(start) || PyBytes_Check(start) || PyByteArray_Check(start)))
            return instead(SUM, walk_of(args[0]), start, NULL, NULL);
    }
    return with_keywords(A_SUM, self, args, n, keywords);
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

static PyObject *best(int which, PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    static const char *const wanted[] = {"key", "default"};
    PyObject *found[2] = {NULL, NULL};
    if (n >= 1 && (keywords || is_walk(args[0])) && take_keywords(args, n, keywords, wanted, found)) {
        PyObject *key = found[0] ? found[0] : Py_None;
        bool calls = PyFunction_Check(key), walks = n == 1 && is_walk(args[0]);
        if ((calls || (walks && key == Py_None)) && !(n > 1 && found[1]) &&
            is_called(args, replaced[which].definition)) {
            PyObject *items = n > 1 ? _PyTuple_FromArray(args, n) : walks ? walk_of(args[0]) : PyObject_GetIter(args[0]);
            return instead(BEST, items, key, which == A_MAX ? Py_True : Py_False, found[1]);
        }
    }
    return with_keywords(which, self, args, n, keywords);
}

static PyObject *least(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    return best(A_MIN, self, args, n, keywords);
}

static PyObject *greatest(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    return best(A_MAX, self, args, n, keywords);
}

static const char *const of_sort[] = {"key", "reverse"};

static PyObject *sorted(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    PyObject *found[2] = {NULL, NULL};
    if (n == 1 && (keywords || is_walk(args[0])) && take_keywords(args, n, keywords, of_sort, found)) {
        PyObject *key = found[0] ? found[0] : Py_None, *reverse = found[1] ? found[1] : Py_False;
        bool calls = PyFunction_Check(key), walks = is_walk(args[0]);
        if ((calls || walks) && PyBool_Check(reverse) && is_called(args, replaced[A_SORTED].definition))
            return instead(SORTED, walks ? walk_of(args[0]) : PySequence_List(args[0]), key, reverse, NULL);
    }
    return with_keywords(A_SORTED, self, args, n, keywords);
}

static PyObject *sort(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    PyObject *found[2] = {NULL, NULL};
    if (n == 0 && keywords && PyList_CheckExact(self) && take_keywords(args, n, keywords, of_sort, found)) {
        PyObject *key = found[0] ? found[0] : Py_None, *reverse = found[1] ? found[1] : Py_False;
        if (PyFunction_Check(key) && PyBool_Check(reverse) && is_called(args, replaced[A_SORT].definition))
            return instead(SORT, Py_NewRef(self), key, reverse, NULL);
    }
    return with_keywords(A_SORT, self, args, n, keywords);
}

static PyObject *reduce(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    if (keywords && PyTuple_GET_SIZE(keywords))
        return PyErr_Format(PyExc_TypeError, "reduce() takes no keyword arguments");
    if ((n == 2 || n == 3) && PyFunction_Check(args[0]) && is_called(args, replaced[A_REDUCE].definition)) {
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
    const _PyInterpreterFrame *frame = _PyThreadState_GET()->current_frame;
    return locals == Py_None && frame->f_locals == frame->f_globals && PyDict_CheckExact(frame->f_globals)
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
        !is_called(args, replaced[which].definition) || !(globals = plain_globals(args, n)))
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
    if (!function || !(is_text || which == AN_EVAL)) return instead(CALL, function, NULL, NULL, NULL);
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

static vectorcallfunc list_was, tuple_was, set_was;

static bool is_walked(PyObject *type, PyTypeObject *exactly, PyObject *const *args, size_t flags, PyObject *keywords) {
    return PyVectorcall_NARGS(flags) == 1 && !keywords && type == (PyObject *)exactly && is_walk(args[0]) &&
           called_as(args) == type;
}

static PyObject *make_list(PyObject *type, PyObject *const *args, size_t flags, PyObject *keywords) {
    if (!is_walked(type, &PyList_Type, args, flags, keywords)) return list_was(type, args, flags, keywords);
    return instead(LIST, walk_of(args[0]), NULL, NULL, NULL);
}

static PyObject *make_tuple(PyObject *type, PyObject *const *args, size_t flags, PyObject *keywords) {
    if (!is_walked(type, &PyTuple_Type, args, flags, keywords)) return tuple_was(type, args, flags, keywords);
    return instead(TUPLE, walk_of(args[0]), NULL, NULL, NULL);
}

static PyObject *make_set(PyObject *type, PyObject *const *args, size_t flags, PyObject *keywords) {
    if (!is_walked(type, &PySet_Type, args, flags, keywords)) return set_was(type, args, flags, keywords);
    return instead(SET, walk_of(args[0]), NULL, NULL, NULL);
}

/* Puts a C function behind a builtin; `like` is one that is called in the same way. Returns false with an exception. */
static bool replace(int which, PyObject *builtin, PyObject *like, PyCFunction function) {
    if (!builtin || !like) return false;
    bool is_method = Py_IS_TYPE(builtin, &PyMethodDescr_Type);
    PyMethodDef *definition =
        is_method ? ((PyMethodDescrObject *)builtin)->d_method : ((PyCFunctionObject *)builtin)->m_ml;
    replaced[which] = (Replaced){definition, definition->ml_meth};
    definition->ml_meth = function;
    if (which == A_REDUCE)
        definition->ml_flags = METH_FASTCALL | METH_KEYWORDS;
    else if (!(definition->ml_flags & METH_KEYWORDS))
        definition->ml_flags = METH_FASTCALL;
    if (is_method)
        ((PyMethodDescrObject *)builtin)->vectorcall = ((PyMethodDescrObject *)like)->vectorcall;
    else
        ((PyCFunctionObject *)builtin)->vectorcall = ((PyCFunctionObject *)like)->vectorcall;
    return true;
}

static PyObject *builtin(const char *name) { return PyDict_GetItemString(PyEval_GetBuiltins(), name); }

static bool replace_builtin(int which, const char *name, const char *like, void *function) {
    return replace(which, builtin(name), builtin(like), (PyCFunction)function);
}

static bool replace_method(int which, PyTypeObject *type, const char *name, const char *like, void *function) {
    PyObject *methods = _PyType_GetDict(type);
    return replace(which, PyDict_GetItemString(methods, name), PyDict_GetItemString(methods, like), (PyCFunction)function);
}

/* substitute(functions: dict, reduce): done once, while the image is made. */
PyObject *cloche_substitute(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *given, *its_reduce, *run_in_context;
    if (!PyArg_ParseTuple(args, "O!OO", &PyDict_Type, &given, &its_reduce, &run_in_context)) return NULL;
    for (int i = 0; i < FUNCTIONS; i++) {
        functions[i] = Py_XNewRef(PyDict_GetItemString(given, names[i]));
        if (!functions[i]) return PyErr_Format(PyExc_KeyError, "no function for %s", names[i]);
    }
    if (!replace_builtin(A_ANY, "any", "getattr", any) || !replace_builtin(AN_ALL, "all", "getattr", all) ||
        !replace_builtin(A_SUM, "sum", "sum", sum) || !replace_builtin(A_MIN, "min", "min", least) ||
        !replace_builtin(A_MAX, "max", "max", greatest) || !replace_builtin(A_SORTED, "sorted", "sorted", sorted) ||
        !replace_builtin(AN_EXEC, "exec", "exec", exec) || !replace_builtin(AN_EVAL, "eval", "eval", eval) ||
        !replace(A_REDUCE, its_reduce, builtin("sum"), (PyCFunction)(void *)reduce) ||
        !replace_method(A_JOIN, &PyUnicode_Type, "join", "count", join) ||
        !replace_method(A_SORT, &PyList_Type, "sort", "sort", sort))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_KeyError, "a builtin is missing");
    list_was = PyList_Type.tp_vectorcall, PyList_Type.tp_vectorcall = make_list;
    tuple_was = PyTuple_Type.tp_vectorcall, PyTuple_Type.tp_vectorcall = make_tuple;
    set_was = PySet_Type.tp_vectorcall, PySet_Type.tp_vectorcall = make_set;
    if (PyDict_SetItemString(_PyType_GetDict(&PyContext_Type), "run", run_in_context) < 0) return NULL;
    PyType_Modified(&PyContext_Type);
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
    static PyMethodDef next = {"next", next_key, METH_O, NULL};
    PyObject *items, *keys, *reverse;
    if (!PyArg_ParseTuple(args, "O!O!O", &PyList_Type, &items, &PyList_Type, &keys, &reverse)) return NULL;
    PyObject *iterator = PyObject_GetIter(keys);
    PyObject *key = iterator ? PyCFunction_New(&next, iterator) : NULL;
    Py_XDECREF(iterator);
    PyObject *keywords = key ? Py_BuildValue("(ss)", of_sort[0], of_sort[1]) : NULL;
    PyObject *values[] = {key, reverse}, *result = NULL;
    if (keywords) result = with_keywords(A_SORT, items, values, 0, keywords);
    Py_XDECREF(keywords);
    Py_XDECREF(key);
    return result;
}
