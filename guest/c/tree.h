/* The memory file system's tree: names, what they refer to, and the caps on both.
 * Nothing in here knows of WASI; memfs.c serves it to libc. */
#ifndef CLOCHE_TREE_H
#define CLOCHE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct node node;

typedef enum { REGULAR, DIRECTORY, SYMBOLIC_LINK, NULL_DEVICE, ZEROS, RANDOM_BYTES, INPUT, OUTPUT, ERRORS } kind;

/* What a name refers to; a file may have several names, and lives until the last and all descriptors are gone. */
typedef struct {
    uint8_t *data;     /* a file's bytes, or where a symbolic link leads */
    size_t size, room;
    uint64_t number;
    int64_t accessed, modified, changed; /* nanoseconds */
    uint32_t names, opens;
    node *place;       /* a directory's only name */
    uint16_t mode;     /* permission bits: kept, not enforced */
    uint8_t kind;
    bool sealed;       /* part of the image: read-only */
    bool borrowed;     /* data belongs to the image and is not freed */
    const uint8_t *packed; /* of some files of the image: compressed, and unpacked to `data` while open; see packed.c */
    size_t packed_size;
} inode;

struct node {
    node *parent, *next, *first, *last; /* next: sibling; first, last: children */
    inode *file;
    uint64_t order; /* position in the directory: grows, so a cookie survives deletions */
    size_t name_length;
    char name[];
};

/* Where a path leads. When the last component is missing, `found` is NULL and the others say where it would go. */
typedef struct {
    node *found, *parent;
    const char *leaf;
    size_t leaf_length;
} place;

node *tree_root(void);
static inline bool is_directory(const node *n) { return n->file->kind == DIRECTORY; }
static inline bool is_device(const inode *file) { return file->kind > SYMBOLIC_LINK; }
/* All of these return 0 or a WASI errno. tree_walk() follows symbolic links, the last component's too if asked to. */
int tree_walk(node *from, const char *path, size_t n, bool follow, place *found);
int tree_create(node *parent, const char *name, size_t n, kind kind, uint16_t mode, node **made);
int tree_link(inode *file, node *parent, const char *name, size_t n);
int tree_resize(inode *file, size_t size);
int tree_unlink(node *victim);
int tree_rename(node *moved, node *parent, const char *name, size_t n);
void tree_release(inode *closed);
/* Seals everything that exists now: read-only, and outside the caps. */
void tree_seal(void);
void tree_unseal(node *directory);
void tree_limits(uint32_t files, uint64_t bytes);

#endif
