/* malloc, for one thread in one linear memory: two-level segregated fit, with neighbours joined as they are freed.
 *
 * wasi-libc's allocator rounds every block to a power of two and never joins or cuts any, so that an array of 140 MB
 * took 256. The algorithm is Masmano, Ripoll, Crespo and Real's ("TLSF", ECRTS 2004): each operation in constant time,
 * and a free block is found that is at most a sixteenth larger than what was asked for. */
#define _GNU_SOURCE /* strnlen */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include "heap.h"

#define ALIGNMENT 16
#define STEP (256u * 1024) /* the memory grows by at least so much, if it may */

typedef struct Chunk {
    size_t before; /* size of the free chunk in front; part of that chunk's payload while it is in use */
    size_t size;   /* of this chunk with its header, a multiple of ALIGNMENT; flags in the low bits */
    struct Chunk *next, *previous; /* in its list while it is free; the payload begins here */
} Chunk;

enum { FREE = 1, FREE_BEFORE = 2, FLAGS = ALIGNMENT - 1 };
#define HEADER offsetof(Chunk, next)
#define OVERHEAD sizeof(size_t)

/* Lists of free chunks: those below 256 bytes by size, the others 16 to each power of two. */
enum { SPLITS = 16, SMALL = 256, POWERS = 26 };
static Chunk *lists[POWERS][SPLITS];
static uint32_t filled, filled_in[POWERS];
static Chunk *last; /* the end of the heap: no chunk, but the header of one that is in use */
static char *touched; /* from here on, memory has been zero from the start */

static size_t size_of(const Chunk *chunk) { return chunk->size & ~(size_t)FLAGS; }
static Chunk *after(Chunk *chunk) { return (Chunk *)((char *)chunk + size_of(chunk)); }
static Chunk *in_front(Chunk *chunk) { return (Chunk *)((char *)chunk - chunk->before); }
static void *payload(Chunk *chunk) { return (char *)chunk + HEADER; }
static Chunk *chunk_of(void *block) { return (Chunk *)((char *)block - HEADER); }
static void touch(char *end) { touched = end > touched ? end : touched; }

/* The size of a chunk for n bytes; 0 if that is beyond any memory. */
static size_t chunk_size(size_t n) {
    if (n > PTRDIFF_MAX - 2 * ALIGNMENT) return 0;
    size_t size = (n + OVERHEAD + FLAGS) & ~(size_t)FLAGS;
    return size < sizeof(Chunk) ? sizeof(Chunk) : size;
}

/* ---- lists ---- */

static int log2_of(size_t size) { return (int)(8 * sizeof(size_t)) - 1 - __builtin_clzl(size); }

static void find_list(size_t size, int *power, int *split) {
    int log = size < SMALL ? 8 : log2_of(size);
    *power = size < SMALL ? 0 : log - 7;
    *split = size < SMALL ? (int)(size / ALIGNMENT) : (int)(size >> (log - 4)) - SPLITS;
}

static void put_in(Chunk *chunk) {
    int power, split;
    find_list(size_of(chunk), &power, &split);
    chunk->previous = NULL;
    chunk->next = lists[power][split];
    if (chunk->next) chunk->next->previous = chunk;
    lists[power][split] = chunk;
    filled |= 1u << power;
    filled_in[power] |= 1u << split;
}

static void take_out(Chunk *chunk) {
    int power, split;
    find_list(size_of(chunk), &power, &split);
    if (chunk->next) chunk->next->previous = chunk->previous;
    if (chunk->previous) chunk->previous->next = chunk->next;
    else if (!(lists[power][split] = chunk->next) && !(filled_in[power] &= ~(1u << split))) filled &= ~(1u << power);
}

/* A free chunk of at least that size, out of its list; NULL if there is none in the lists that surely fit. */
static Chunk *find(size_t size) {
    if (size >= SMALL) size += ((size_t)1 << (log2_of(size) - 4)) - 1;
    int power, split;
    find_list(size, &power, &split);
    if (power >= POWERS) return NULL;
    uint32_t splits = filled_in[power] & (~0u << split);
    if (!splits) {
        uint32_t powers = power + 1 < 32 ? filled & (~0u << (power + 1)) : 0;
        if (!powers) return NULL;
        power = __builtin_ctz(powers);
        splits = filled_in[power];
    }
    Chunk *chunk = lists[power][__builtin_ctz(splits)];
    take_out(chunk);
    return chunk;
}

/* ---- chunks ---- */

/* Makes a chunk free that has no free neighbour. */
static void mark_free(Chunk *chunk) {
    chunk->size |= FREE;
    after(chunk)->before = size_of(chunk);
    after(chunk)->size |= FREE_BEFORE;
    touch((char *)chunk + sizeof(Chunk));
    put_in(chunk);
}

/* Joins a chunk that is in no list with its free neighbours. */
static Chunk *join(Chunk *chunk) {
    Chunk *back = after(chunk);
    if (back->size & FREE) {
        take_out(back);
        chunk->size += size_of(back);
    }
    if (!(chunk->size & FREE_BEFORE)) return chunk;
    Chunk *front = in_front(chunk);
    take_out(front);
    front->size += size_of(chunk);
    return front;
}

/* Takes a chunk that is in no list into use, and frees what it has beyond `size`. */
static void *use(Chunk *chunk, size_t size) {
    size_t rest = size_of(chunk) - size;
    /* That word is the end of the payload now, and part of memory that may count as never touched. */
    if (chunk->size & FREE) after(chunk)->before = 0;
    chunk->size &= ~(size_t)FREE;
    after(chunk)->size &= ~(size_t)FREE_BEFORE;
    if (rest >= sizeof(Chunk)) {
        chunk->size -= rest;
        after(chunk)->size = rest;
        mark_free(join(after(chunk)));
    }
    touch((char *)after(chunk) + OVERHEAD);
    return payload(chunk);
}

/* ---- growth ---- */

static char *more(size_t *bytes) {
    size_t page = HEAP_PAGE, exact = (*bytes + page - 1) / page * page;
    *bytes = exact < STEP ? STEP : exact;
    char *at = heap_more(*bytes);
    if (at || *bytes == exact) return at;
    *bytes = exact;
    return heap_more(exact);
}

/* Grows the heap so that its last chunk has at least `size` bytes; returns that chunk, in no list, or NULL. */
static Chunk *extend(size_t size) {
    size_t there = last && last->size & FREE_BEFORE ? last->before : 0;
    if (there >= size) {
        take_out(in_front(last));
        return in_front(last);
    }
    size_t bytes = size - there + 2 * ALIGNMENT;
    char *at = more(&bytes);
    if (!at) return NULL;
    /* Nobody else grows the memory; but if somebody did, what is there is not ours. */
    bool goes_on = last && at == (char *)last + HEADER;
    Chunk *chunk = goes_on ? last : (Chunk *)(at + (ALIGNMENT - HEADER % ALIGNMENT) % ALIGNMENT);
    if (!goes_on) chunk->size = 0;
    last = (Chunk *)(at + bytes - HEADER);
    chunk->size = (size_t)((char *)last - (char *)chunk) | (chunk->size & FREE_BEFORE);
    last->size = 0;
    Chunk *joined = join(chunk);
    if (size_of(joined) < size) { /* a new region, without the free chunk that was counted on */
        mark_free(joined);
        return extend(size);
    }
    /* The old end is within a chunk now, in memory that counts as never touched. */
    if (joined != chunk) memset(chunk, 0, HEADER);
    return joined;
}

/* The same for the chunk at the end of the heap, where it must go on. */
static bool extend_at(Chunk *end, size_t size) {
    Chunk *chunk = extend(size);
    if (!chunk || chunk == end) return chunk;
    mark_free(chunk);
    return false;
}

/* ---- the interface ---- */

static void *fail(void) {
    errno = ENOMEM;
    return NULL;
}

/* Not called malloc, so that the compiler does not make a call of calloc out of calloc. */
static void *allocate(size_t n) {
    size_t size = chunk_size(n);
    Chunk *chunk = size ? find(size) : NULL;
    if (!chunk && size) chunk = extend(size);
    return chunk ? use(chunk, size) : fail();
}

void *malloc(size_t n) { return allocate(n); }

void free(void *block) {
    if (!block) return;
    Chunk *chunk = join(chunk_of(block));
    chunk->size &= ~(size_t)FREE;
    mark_free(chunk);
}

void *calloc(size_t count, size_t each) {
    size_t n;
    if (__builtin_mul_overflow(count, each, &n)) return fail();
    char *used = touched, *block = allocate(n);
    if (!block) return NULL;
    /* The links of a free chunk lie where its payload begins. */
    size_t dirty = used > block ? (size_t)(used - block) : 0;
    if (dirty < sizeof(Chunk)) dirty = sizeof(Chunk);
    memset(block, 0, dirty < n ? dirty : n);
    return block;
}

/* Makes a chunk in use larger where it stands, if what follows it is free or the end of the heap. */
static bool widen(Chunk *chunk, size_t size) {
    Chunk *back = after(chunk);
    size_t there = size_of(chunk) + (back->size & FREE ? size_of(back) : 0);
    bool at_end = back == last || (back->size & FREE && after(back) == last);
    if (there < size && !at_end) return false;
    if (there >= size) take_out(back);
    else if (!extend_at(back, size - size_of(chunk))) return false;
    chunk->size += size_of(back);
    use(chunk, size);
    return true;
}

void *realloc(void *block, size_t n) {
    if (!block) return malloc(n);
    Chunk *chunk = chunk_of(block);
    size_t size = chunk_size(n), had = size_of(chunk) - OVERHEAD;
    if (!size) return fail();
    if (size <= size_of(chunk)) return use(chunk, size);
    if (widen(chunk, size)) return block;
    void *moved = malloc(n);
    if (!moved) return NULL;
    memcpy(moved, block, had);
    free(block);
    return moved;
}

void *aligned_alloc(size_t alignment, size_t n) {
    if (alignment <= ALIGNMENT) return malloc(n);
    size_t size = chunk_size(n);
    if (!size || alignment > PTRDIFF_MAX - size - sizeof(Chunk)) return fail();
    char *block = malloc(size + alignment + sizeof(Chunk));
    if (!block) return NULL;
    uintptr_t start = (uintptr_t)block, aligned = (start + alignment - 1) & -alignment;
    if (aligned != start && aligned - start < sizeof(Chunk)) aligned += alignment;
    Chunk *chunk = chunk_of(block), *kept = chunk_of(block + (aligned - start));
    if (kept != chunk) {
        kept->size = size_of(chunk) - (aligned - start);
        chunk->size -= size_of(kept);
        free(block);
    }
    return use(kept, size);
}

int posix_memalign(void **block, size_t alignment, size_t n) {
    int before = errno;
    void *found = aligned_alloc(alignment, n);
    errno = before;
    if (!found) return ENOMEM;
    *block = found;
    return 0;
}

void *memalign(size_t alignment, size_t n) { return aligned_alloc(alignment, n); }

void *reallocarray(void *block, size_t count, size_t each) {
    size_t n;
    return __builtin_mul_overflow(count, each, &n) ? fail() : realloc(block, n);
}

void heap_clear(void) {
    for (int power = 0; power < POWERS; power++)
        for (int split = 0; split < SPLITS; split++)
            for (Chunk *chunk = lists[power][split]; chunk; chunk = chunk->next)
                memset((char *)chunk + sizeof(Chunk), 0, size_of(chunk) - sizeof(Chunk));
}

void heap_close_holes(void) {
    Chunk *tail = last && last->size & FREE_BEFORE ? in_front(last) : NULL;
    for (int power = 0; power < POWERS; power++)
        for (int split = 0; split < SPLITS; split++)
            for (Chunk *chunk = lists[power][split], *next; chunk; chunk = next) {
                next = chunk->next;
                if (chunk == tail) continue;
                take_out(chunk);
                chunk->size &= ~(size_t)FREE;
                after(chunk)->before = 0;
                after(chunk)->size &= ~(size_t)FREE_BEFORE;
            }
}

size_t malloc_usable_size(void *block) { return block ? size_of(chunk_of(block)) - OVERHEAD : 0; }

/* zig's libc has these with its own malloc compiled in, and what they return is given to our free. */

char *strndup(const char *text, size_t most) {
    size_t n = strnlen(text, most);
    char *copy = allocate(n + 1);
    if (!copy) return NULL;
    copy[n] = 0;
    return memcpy(copy, text, n);
}

char *strdup(const char *text) { return strndup(text, SIZE_MAX - 1); }

wchar_t *wcsdup(const wchar_t *text) {
    size_t bytes = (wcslen(text) + 1) * sizeof *text;
    wchar_t *copy = allocate(bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}
