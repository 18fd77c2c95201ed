/* A program's text to code objects: its last expression apart, so that its value can be had, `await` allowed outside
 * of functions. In C, as the same through the `ast` module takes the syntax tree to Python objects and back. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define Py_BUILD_CORE
#include "pycore_ast.h"
#include "pycore_compile.h"
#include "pycore_parser.h"
#include "pycore_pyarena.h"
#undef Py_BUILD_CORE

#include "cloche.h"

typedef struct {
    PyObject *filename, *parts;
    PyCompilerFlags flags;
    PyArena *arena;
} Split;

static int add(Split *split, mod_ty tree) {
    PyObject *code = (PyObject *)_PyAST_Compile(tree, split->filename, &split->flags, -1, split->arena);
    if (!code) return -1;
    int failed = PyList_Append(split->parts, code);
    Py_DECREF(code);
    return failed;
}

static int split_tree(Split *split, mod_ty tree) {
    asdl_stmt_seq *body = tree->v.Module.body;
    Py_ssize_t count = asdl_seq_LEN(body);
    stmt_ty last = count ? asdl_seq_GET(body, count - 1) : NULL;
    if (!last || last->kind != Expr_kind) return add(split, tree);
    body->size--;
    if (count > 1 && add(split, tree) < 0) return -1;
    mod_ty value = _PyAST_Expression(last->v.Expr.value, split->arena);
    return value ? add(split, value) : -1;
}

static int split_text(Split *split, const char *text) {
    mod_ty tree = _PyParser_ASTFromString(text, split->filename, Py_file_input, &split->flags, split->arena);
    return tree ? split_tree(split, tree) : -1;
}

static const char *text_of(PyObject *source) {
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(source, &size);
    if (text && strlen(text) == (size_t)size) return text;
    if (text) PyErr_SetString(PyExc_SyntaxError, "source code string cannot contain null bytes");
    return NULL;
}

PyObject *cloche_split(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *source, *filename;
    if (!PyArg_ParseTuple(args, "UU", &source, &filename)) return NULL;
    const char *text = text_of(source);
    if (!text) return NULL;
    int flags = PyCF_ALLOW_TOP_LEVEL_AWAIT | PyCF_SOURCE_IS_UTF8 | PyCF_IGNORE_COOKIE;
    Split split = {filename, PyList_New(0), {flags, PY_MINOR_VERSION}, _PyArena_New()};
    if (!split.parts || !split.arena || split_text(&split, text) < 0) Py_CLEAR(split.parts);
    if (split.arena) _PyArena_Free(split.arena);
    return split.parts;
}
