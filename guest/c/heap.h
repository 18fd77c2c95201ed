/* Where heap.c gets its memory. A test on the host puts a memory of its own here. */
#ifndef CLOCHE_HEAP_H
#define CLOCHE_HEAP_H

#include <stddef.h>

#define HEAP_PAGE 65536

/* Writes zeros over all that is free, so that what was freed is in no image. */
void heap_clear(void);
/* Gives up what is free but for the end of the heap: holes of the image, each on a page that would be a guest's own. */
void heap_close_holes(void);

/* So many bytes more, a multiple of HEAP_PAGE, all zero, behind those it gave before; NULL if there are none. */
#ifdef __wasm__
static inline char *heap_more(size_t bytes) {
    size_t page = __builtin_wasm_memory_grow(0, bytes / HEAP_PAGE);
    return page == (size_t)-1 ? NULL : (char *)(page * HEAP_PAGE);
}
#else
char *heap_more(size_t bytes);
#endif

#endif
