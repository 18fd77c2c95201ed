/* Baking: where the objects of a run will lie. The image's heap is full of small holes; filling them would dirty one
 * page after the other. So its half-full pools are declared full, and runs begin in an arena of their own. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define Py_BUILD_CORE
#include "pycore_interp.h"
#include "pycore_obmalloc.h"
#include "pycore_pystate.h"
#undef Py_BUILD_CORE

#include "cloche.h"
#include "heap.h"

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
