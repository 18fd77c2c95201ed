/* C's string functions, in place of the toolchain's: those measure the whole text before they look at it (strchr,
 * strpbrk, strcspn, strstr), which makes a tokenizer that asks for the end of each line quadratic, and go byte by byte.
 *
 * Text is read in aligned blocks of 16 bytes. A block never crosses the end of memory, so reading one whole is safe even
 * where the text ends inside it; bytes before the text or behind its end are masked off. Compile with -fno-builtin, or
 * the compiler turns these loops into calls of the very functions they define. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wasm_simd128.h>

enum { BLOCK = 16 };

typedef unsigned char byte;

static uintptr_t start_of_block(const void *at) { return (uintptr_t)at & -(uintptr_t)BLOCK; }
static v128_t block_at(uintptr_t block) { return *(const v128_t *)block; }

/* The bytes of a block that equal those of `wanted`, one bit each, the first byte's lowest. */
static uint32_t matches(uintptr_t block, v128_t wanted) {
    return wasm_i8x16_bitmask(wasm_i8x16_eq(block_at(block), wanted));
}

/* The same, where most blocks are expected to have no match: asking whether there is any is cheaper than the bits. */
static uint32_t rare_matches(uintptr_t block, v128_t wanted) {
    v128_t equal = wasm_i8x16_eq(block_at(block), wanted);
    return wasm_v128_any_true(equal) ? wasm_i8x16_bitmask(equal) : 0;
}

static uint32_t from(const void *at) { return ~0u << ((uintptr_t)at % BLOCK); }
static uint32_t until(const void *last) { return 0xffffu >> (BLOCK - 1 - (uintptr_t)last % BLOCK); }

size_t strlen(const char *text) {
    uintptr_t block = start_of_block(text);
    v128_t zero = wasm_i8x16_splat(0);
    uint32_t found = matches(block, zero) & from(text);
    while (!found) found = rare_matches(block += BLOCK, zero);
    return block + (uintptr_t)__builtin_ctz(found) - (uintptr_t)text;
}

void *memchr(const void *text, int value, size_t n) {
    if (!n) return NULL;
    /* Addresses as numbers: n may be SIZE_MAX, and a pointer behind the end of memory is undefined in C. */
    uintptr_t last;
    if (__builtin_add_overflow((uintptr_t)text, n - 1, &last)) last = UINTPTR_MAX;
    uintptr_t block = start_of_block(text);
    v128_t wanted = wasm_i8x16_splat((int8_t)value);
    uint32_t found = matches(block, wanted) & from(text);
    while (!found) {
        if (last - block < BLOCK) return NULL;
        found = rare_matches(block += BLOCK, wanted);
    }
    uintptr_t at = block + (uintptr_t)__builtin_ctz(found);
    return at <= last ? (void *)at : NULL;
}

void *memrchr(const void *text, int value, size_t n) {
    if (!n) return NULL;
    const byte *last = (const byte *)text + n - 1;
    uintptr_t block = start_of_block(last);
    v128_t wanted = wasm_i8x16_splat((int8_t)value);
    uint32_t found = matches(block, wanted) & until(last);
    while (!found) {
        if (block <= (uintptr_t)text) return NULL;
        found = rare_matches(block -= BLOCK, wanted);
    }
    uintptr_t at = block + 31 - (uintptr_t)__builtin_clz(found);
    return at >= (uintptr_t)text ? (void *)at : NULL;
}

char *strchrnul(const char *text, int value) {
    uintptr_t block = start_of_block(text);
    v128_t zero = wasm_i8x16_splat(0), wanted = wasm_i8x16_splat((int8_t)value);
    uint32_t found = (matches(block, zero) | matches(block, wanted)) & from(text);
    while (!found) {
        v128_t bytes = block_at(block += BLOCK);
        v128_t either = wasm_v128_or(wasm_i8x16_eq(bytes, zero), wasm_i8x16_eq(bytes, wanted));
        if (wasm_v128_any_true(either)) found = wasm_i8x16_bitmask(either);
    }
    return (char *)(block + (uintptr_t)__builtin_ctz(found));
}

char *strchr(const char *text, int value) {
    char *at = strchrnul(text, value);
    return *at == (char)value ? at : NULL;
}

char *strrchr(const char *text, int value) { return memrchr(text, value, strlen(text) + 1); }

size_t strnlen(const char *text, size_t n) {
    const char *end = memchr(text, 0, n);
    return end ? (size_t)(end - text) : n;
}

int memcmp(const void *left, const void *right, size_t n) {
    const byte *a = left, *b = right;
    for (; n >= BLOCK; a += BLOCK, b += BLOCK, n -= BLOCK) {
        v128_t equal = wasm_i8x16_eq(wasm_v128_load(a), wasm_v128_load(b));
        if (wasm_i8x16_all_true(equal)) continue;
        int at = __builtin_ctz(~wasm_i8x16_bitmask(equal));
        return a[at] - b[at];
    }
    if (n >= 8) {
        uint64_t x, y;
        __builtin_memcpy(&x, a, sizeof x);
        __builtin_memcpy(&y, b, sizeof y);
        if (x != y) return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
        a += 8, b += 8, n -= 8;
    }
    for (; n; a++, b++, n--)
        if (*a != *b) return *a - *b;
    return 0;
}

int bcmp(const void *left, const void *right, size_t n) { return memcmp(left, right, n); }

/* Texts that are compared differ early, or are short: byte by byte is as fast. */
int strncmp(const char *left, const char *right, size_t n) {
    const byte *a = (const byte *)left, *b = (const byte *)right;
    for (; n && *a == *b && *a; a++, b++) n--;
    return n ? *a - *b : 0;
}

int strcmp(const char *left, const char *right) {
    const byte *a = (const byte *)left, *b = (const byte *)right;
    for (; *a == *b && *a; a++) b++;
    return *a - *b;
}

int strcoll(const char *left, const char *right) { return strcmp(left, right); }

char *stpcpy(char *restrict to, const char *restrict text) {
    size_t n = strlen(text);
    __builtin_memcpy(to, text, n + 1);
    return to + n;
}

char *stpncpy(char *restrict to, const char *restrict text, size_t n) {
    size_t length = strnlen(text, n);
    __builtin_memcpy(to, text, length);
    __builtin_memset(to + length, 0, n - length);
    return to + length;
}

char *strcpy(char *restrict to, const char *restrict text) { return stpcpy(to, text), to; }
char *strncpy(char *restrict to, const char *restrict text, size_t n) { return stpncpy(to, text, n), to; }
char *strcat(char *restrict to, const char *restrict text) { return stpcpy(to + strlen(to), text), to; }

char *strncat(char *restrict to, const char *restrict text, size_t n) {
    char *end = to + strlen(to);
    n = strnlen(text, n);
    __builtin_memcpy(end, text, n);
    end[n] = 0;
    return to;
}

/* How many bytes of the text come before the first that is, or is not, among the members. */
static size_t span(const char *text, const char *members, bool stop_at_member) {
    uint32_t set[8] = {0};
    for (const byte *m = (const byte *)members; *m; m++) set[*m / 32] |= 1u << *m % 32;
    const byte *at = (const byte *)text;
    while (*at && (set[*at / 32] >> *at % 32 & 1) != stop_at_member) at++;
    return (size_t)(at - (const byte *)text);
}

size_t strspn(const char *text, const char *members) { return span(text, members, false); }

size_t strcspn(const char *text, const char *members) {
    if (!members[0] || !members[1]) return (size_t)(strchrnul(text, members[0]) - text);
    return span(text, members, true);
}

char *strpbrk(const char *text, const char *members) {
    text += strcspn(text, members);
    return *text ? (char *)text : NULL;
}

/* What CPython and SQLite look for is short. */
char *strstr(const char *text, const char *wanted) {
    if (!*wanted) return (char *)text;
    size_t n = strlen(wanted);
    for (; (text = strchr(text, *wanted)); text++)
        if (!strncmp(text, wanted, n)) return (char *)text;
    return NULL;
}

/* What the rest of libc calls them. */
#define INTERNAL(name) __attribute__((alias(#name), visibility("hidden"))) __##name
char *INTERNAL(strchrnul)(const char *, int);
void *INTERNAL(memrchr)(const void *, int, size_t);
char *INTERNAL(stpcpy)(char *restrict, const char *restrict);
char *INTERNAL(stpncpy)(char *restrict, const char *restrict, size_t);
