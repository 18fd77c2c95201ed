/* A program's text to one code object, whose value is that of the program's last expression; `await` is allowed outside
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

/* compile.c of CPython, as patched: the one statement that may be a return outside of functions */
extern stmt_ty _PyCompile_ValueStatement;

/* Makes the last expression of a program a return of its value. Returns -1 with an exception. */
static int return_value(mod_ty tree, PyArena *arena) {
    asdl_stmt_seq *body = tree->v.Module.body;
    Py_ssize_t count = asdl_seq_LEN(body);
    stmt_ty last = count ? asdl_seq_GET(body, count - 1) : NULL;
    if (!last || last->kind != Expr_kind) return 0;
    expr_ty value = last->v.Expr.value;
    stmt_ty statement =
        _PyAST_Return(value, last->lineno, last->col_offset, last->end_lineno, last->end_col_offset, arena);
    if (!statement) return -1;
    asdl_seq_SET(body, count - 1, statement);
    _PyCompile_ValueStatement = statement;
    return 0;
}

static PyObject *code_of(const char *text, PyObject *filename, PyArena *arena) {
    int wanted = PyCF_ALLOW_TOP_LEVEL_AWAIT | PyCF_SOURCE_IS_UTF8 | PyCF_IGNORE_COOKIE;
    PyCompilerFlags flags = {wanted, PY_MINOR_VERSION};
    mod_ty tree = _PyParser_ASTFromString(text, filename, Py_file_input, &flags, arena);
    if (!tree || return_value(tree, arena) < 0) return NULL;
    PyObject *code = (PyObject *)_PyAST_Compile(tree, filename, &flags, -1, arena);
    _PyCompile_ValueStatement = NULL;
    return code;
}

static const char *text_of(PyObject *source) {
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(source, &size);
    if (text && strlen(text) == (size_t)size) return text;
    if (text) PyErr_SetString(PyExc_SyntaxError, "source code string cannot contain null bytes");
    return NULL;
}

PyObject *cloche_compile(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *source, *filename;
    if (!PyArg_ParseTuple(args, "UU", &source, &filename)) return NULL;
    const char *text = text_of(source);
    if (!text) return NULL;
    PyArena *arena = _PyArena_New();
    if (!arena) return NULL;
    PyObject *code = code_of(text, filename, arena);
    _PyArena_Free(arena);
    return code;
}
