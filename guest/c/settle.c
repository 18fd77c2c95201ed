/* Baking: where the objects of a run will lie. The image's heap is full of small holes; filling them would dirty one
 * page after the other. So its half-full pools are declared full, and runs begin in an arena of their own. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define Py_BUILD_CORE
#include "pycore_code.h"
#include "pycore_interp.h"
#include "pycore_obmalloc.h"
#include "pycore_pystate.h"
#undef Py_BUILD_CORE

#include "cloche.h"
#include "heap.h"

/* The unit in which a host gives a guest memory of its own. */
#define HOST_PAGE 4096

typedef struct pool_header Pool;

/* The head of a list of pools is two words that stand for the links of a pool: see pycore_obmalloc.h. */
static Pool *head_of(struct _obmalloc_pools *pools, int size_class) {
    return (Pool *)((char *)&pools->used[2 * size_class] - offsetof(Pool, nextpool));
}

static void declare_full(Pool *head) {
    for (Pool *pool = head->nextpool; pool != head; pool = pool->nextpool) {
        pool->freeblock = NULL;
        pool->nextoffset = pool->maxnextoffset + 1;
    }
    head->nextpool = head->prevpool = head;
}

/* No arena has pools left to give. One that gets a pool back is usable again, as one that was really full. */
static void forget_free_pools(struct _obmalloc_mgmt *arenas) {
    for (size_t i = 0; i < arenas->maxarenas; i++) {
        struct arena_object *arena = &arenas->arenas[i];
        if (!arena->address) continue;
        for (Pool *pool = arena->freepools, *next; pool; pool = next) {
            next = pool->nextpool;
            memset(pool, 0, POOL_SIZE);
        }
        arena->freepools = NULL;
        arena->nfreepools = 0;
        arena->nextarena = arena->prevarena = NULL;
    }
    arenas->usable_arenas = NULL;
    memset(arenas->nfp2lasta, 0, sizeof arenas->nfp2lasta);
}

/* settle(headroom): use no hole of the object heap any more, and have so many free bytes behind it. */
PyObject *cloche_settle(PyObject *module, PyObject *headroom) {
    (void)module;
    size_t bytes = PyLong_AsSize_t(headroom);
    if (PyErr_Occurred()) return NULL;
    struct _obmalloc_state *state = PyInterpreterState_Get()->obmalloc;
    for (int i = 0; i < NB_SMALL_SIZE_CLASSES; i++) declare_full(head_of(&state->pools, i));
    forget_free_pools(&state->mgmt);
    void *room = PyMem_RawMalloc(bytes);
    if (!room) return PyErr_NoMemory();
    PyMem_RawFree(room);
    heap_clear();
    Py_RETURN_NONE;
}

/* The last thing before the memory is written down: what baked the image leaves holes as well. Returns 0. */
EXPORT("cloche_bake_close_holes") int32_t cloche_bake_close_holes(void) {
    heap_clear();
    heap_close_holes();
    return 0;
}

/* ---- code objects that each run writes to ---- */

static size_t code_size(PyCodeObject *code) {
    size_t size = (size_t)_PyObject_VAR_SIZE(Py_TYPE(code), Py_SIZE(code));
    return (size + 15) & ~(size_t)15;
}

/* A copy of its own at that place, which is never given back. */
static PyObject *code_copy(PyCodeObject *code, char *place) {
    PyCodeObject *copy = memcpy(place, code, (size_t)_PyObject_VAR_SIZE(Py_TYPE(code), Py_SIZE(code)));
    PyObject *shared[] = {copy->co_consts,         copy->co_names,    copy->co_exceptiontable, copy->co_localsplusnames,
                          copy->co_localspluskinds, copy->co_filename, copy->co_name,           copy->co_qualname,
                          copy->co_linetable};
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) Py_XINCREF(shared[i]);
    Py_SET_REFCNT((PyObject *)copy, 1);
    copy->co_weakreflist = NULL;
    copy->co_executors = NULL;
    copy->_co_cached = NULL;
    copy->_co_monitoring = NULL;
    copy->co_extra = NULL;
    return (PyObject *)copy;
}

/* cluster(functions): give each function a copy of its code object, all side by side. An instruction that the
 * interpreter cannot specialise counts how often it was run, in the code object itself. */
PyObject *cloche_cluster(PyObject *module, PyObject *functions) {
    (void)module;
    if (!PyList_Check(functions)) return PyErr_Format(PyExc_TypeError, "expected a list of functions");
    size_t total = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(functions); i++) {
        PyObject *function = PyList_GET_ITEM(functions, i);
        if (!PyFunction_Check(function)) return PyErr_Format(PyExc_TypeError, "%R is not a function", function);
        total += code_size((PyCodeObject *)PyFunction_GET_CODE(function));
    }
    char *block = PyMem_RawMalloc(total + HOST_PAGE);
    if (!block) return PyErr_NoMemory();
    char *place = (char *)(((uintptr_t)block + HOST_PAGE - 1) & ~(uintptr_t)(HOST_PAGE - 1));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(functions); i++) {
        PyObject *function = PyList_GET_ITEM(functions, i);
        PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(function);
        size_t size = code_size(code);
        PyObject *copy = code_copy(code, place);
        int failed = PyObject_SetAttrString(function, "__code__", copy);
        place += size;
        if (failed) return NULL;
    }
    Py_RETURN_NONE;
}
