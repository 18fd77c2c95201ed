#include "tree.h"

#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#include "cloche.h"

enum { NAME_MAX_BYTES = 255 };

static node root = {.directory = true, .inode = 1, .order = 1};
static uint64_t last_number = 1;

/* What the guest added to the image, and how much it may. */
static uint32_t files_used, files_limit = 10000;
static uint64_t bytes_used, bytes_limit = 64 << 20;

node *tree_root(void) { return &root; }

void tree_limits(uint32_t files, uint64_t bytes) {
    files_limit = files;
    bytes_limit = bytes;
}

static node *child(const node *parent, const char *name, size_t n) {
    for (node *c = parent->first; c; c = c->next)
        if (c->name_length == n && memcmp(c->name, name, n) == 0) return c;
    return NULL;
}

static int step_into(node **here, const char *name, size_t n) {
    if (!(*here)->directory) return __WASI_ERRNO_NOTDIR;
    if (n == 1 && name[0] == '.') return 0;
    if (n == 2 && name[0] == '.' && name[1] == '.') {
        if ((*here)->parent) *here = (*here)->parent;
        return 0;
    }
    node *next = child(*here, name, n);
    if (!next) return __WASI_ERRNO_NOENT;
    *here = next;
    return 0;
}

int tree_walk(node *from, const char *path, size_t n, node **found, node **parent,
              const char **leaf, size_t *leaf_length) {
    node *here = n && path[0] == '/' ? &root : from;
    const char *at = path, *end = path + n;
    *found = *parent = NULL;
    if (memchr(path, 0, n)) return __WASI_ERRNO_INVAL;
    for (;;) {
        while (at < end && *at == '/') at++;
        if (at == end) {
            *found = here;
            bool slash = n && end[-1] == '/';
            return slash && !here->directory ? __WASI_ERRNO_NOTDIR : 0;
        }
        const char *name = at;
        while (at < end && *at != '/') at++;
        size_t length = (size_t)(at - name);
        if (length > NAME_MAX_BYTES) return __WASI_ERRNO_NAMETOOLONG;
        node *before = here;
        int error = step_into(&here, name, length);
        if (error != __WASI_ERRNO_NOENT) {
            if (error) return error;
            continue;
        }
        while (at < end && *at == '/') at++;
        if (at < end) return __WASI_ERRNO_NOENT;
        *parent = before, *leaf = name, *leaf_length = length;
        return 0;
    }
}

static void attach(node *parent, node *added) {
    added->parent = parent;
    added->next = NULL;
    added->order = ++last_number;
    if (parent->last) parent->last->next = added;
    else parent->first = added;
    parent->last = added;
    parent->modified = host_clock(0);
}

static void detach(node *gone) {
    node *parent = gone->parent, *before = NULL;
    for (node *c = parent->first; c != gone; c = c->next) before = c;
    if (before) before->next = gone->next;
    else parent->first = gone->next;
    if (parent->last == gone) parent->last = before;
    gone->parent = NULL;
    parent->modified = host_clock(0);
}

int tree_create(node *parent, const char *name, size_t n, bool directory, node **made) {
    if (parent->sealed) return __WASI_ERRNO_ROFS;
    if (parent != &root && !parent->parent) return __WASI_ERRNO_NOENT; /* a removed directory */
    if (files_used >= files_limit) return __WASI_ERRNO_NOSPC;
    node *fresh = calloc(1, sizeof(node) + n);
    if (!fresh) return __WASI_ERRNO_NOMEM;
    memcpy(fresh->name, name, n);
    fresh->name_length = n;
    fresh->directory = directory;
    attach(parent, fresh);
    fresh->inode = fresh->order;
    fresh->modified = parent->modified;
    files_used++;
    *made = fresh;
    return 0;
}

static int make_room(node *file, size_t size) {
    size_t room = file->room ? file->room : 512;
    while (room < size) room += room < (1 << 20) ? room : room / 4;
    uint8_t *data = file->borrowed ? malloc(room) : realloc(file->data, room);
    if (!data) return __WASI_ERRNO_NOMEM;
    if (file->borrowed) memcpy(data, file->data, file->size);
    file->borrowed = false;
    file->data = data;
    file->room = room;
    return 0;
}

int tree_resize(node *file, size_t size) {
    if (size > file->size && bytes_used + (size - file->size) > bytes_limit) return __WASI_ERRNO_NOSPC;
    if (size > file->room) {
        int error = make_room(file, size);
        if (error) return error;
    }
    if (size > file->size) memset(file->data + file->size, 0, size - file->size);
    bytes_used += size;
    bytes_used -= file->size;
    file->size = size;
    return 0;
}

static void discard(node *dead) {
    bytes_used -= dead->size;
    if (!dead->borrowed) free(dead->data);
    free(dead);
}

/* The image's own entries, /tmp and /work included, stay where they are. */
static bool fixed(const node *n) { return n == &root || n->sealed || !n->parent || n->parent->sealed; }

int tree_unlink(node *victim) {
    if (fixed(victim)) return __WASI_ERRNO_ROFS;
    if (victim->directory && victim->first) return __WASI_ERRNO_NOTEMPTY;
    detach(victim);
    files_used--;
    if (!victim->opens) discard(victim);
    return 0;
}

void tree_release(node *closed) {
    closed->opens--;
    if (!closed->opens && !closed->parent && closed != &root) discard(closed);
}

static bool inside(const node *parent, const node *moved) {
    for (; parent; parent = parent->parent)
        if (parent == moved) return true;
    return false;
}

int tree_rename(node *moved, node *parent, const char *name, size_t n) {
    if (fixed(moved) || parent->sealed) return __WASI_ERRNO_ROFS;
    if (inside(parent, moved)) return __WASI_ERRNO_INVAL;
    /* Names are stored in the node, so a new name is a new node with the old one's contents. */
    node *renamed = calloc(1, sizeof(node) + n);
    if (!renamed) return __WASI_ERRNO_NOMEM;
    if (moved->opens) {
        free(renamed);
        if (n > moved->name_length) return __WASI_ERRNO_BUSY;
        renamed = moved;
    }
    detach(moved);
    if (renamed != moved) {
        *renamed = *moved;
        for (node *c = renamed->first; c; c = c->next) c->parent = renamed;
        free(moved);
    }
    memcpy(renamed->name, name, n);
    renamed->name_length = n;
    attach(parent, renamed);
    return 0;
}

static void seal(node *here) {
    here->sealed = true;
    for (node *c = here->first; c; c = c->next) seal(c);
}

void tree_seal(void) {
    seal(&root);
    files_used = 0;
    bytes_used = 0;
}

void tree_unseal(node *directory) { directory->sealed = false; }
