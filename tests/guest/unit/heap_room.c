/* The memory that a test gives to the guest's heap, where there is no wasm memory to grow. */
#include "heap.h"

#define ALL (128u << 20)

static char room[ALL] __attribute__((aligned(HEAP_PAGE)));
static size_t used, gap;

char *heap_more(size_t bytes) {
    if (bytes > ALL - used - gap) return NULL;
    char *at = room + used + gap;
    used += bytes + gap;
    gap = 0;
    return at;
}

size_t room_used(void) { return used; }

/* Leave a page out before the next piece, as if somebody else had taken it. */
void room_gap(void) { gap = HEAP_PAGE; }
