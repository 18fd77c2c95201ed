/* The memory file system's tree: nodes, their bytes, and the caps on both.
 * Nothing in here knows of WASI; memfs.c serves it to libc. */
#ifndef CLOCHE_TREE_H
#define CLOCHE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct node {
    struct node *parent, *next, *first, *last; /* next: sibling; first, last: children */
    uint8_t *data;
    size_t size, room;
    uint64_t inode;
    uint64_t order;    /* position in the directory: grows, so a cookie survives deletions */
    int64_t modified;  /* nanoseconds */
    uint32_t opens;    /* open descriptors; an unlinked file lives until the last is closed */
    bool directory;
    bool sealed;       /* part of the image: read-only */
    bool borrowed;     /* data belongs to the image and is not freed */
    size_t name_length;
    char name[];
} node;

node *tree_root(void);
/* Walks `path` (length n) from `from`. Returns 0 or a WASI errno. When the last
 * component is missing, *found is NULL and *parent, *leaf, *leaf_length say where
 * it would go. */
int tree_walk(node *from, const char *path, size_t n, node **found, node **parent,
              const char **leaf, size_t *leaf_length);
int tree_create(node *parent, const char *name, size_t n, bool directory, node **made);
int tree_resize(node *file, size_t size);
int tree_unlink(node *victim);
int tree_rename(node *moved, node *parent, const char *name, size_t n);
void tree_release(node *closed);
/* Seals everything that exists now: read-only, and outside the caps. */
void tree_seal(void);
void tree_unseal(node *directory);
void tree_limits(uint32_t files, uint64_t bytes);

#endif
