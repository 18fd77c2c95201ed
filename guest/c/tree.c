#include "tree.h"

#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#include "cloche.h"

enum { NAME_MAX_BYTES = 255, MAX_LINKS = 40 };

static node root;
static inode root_file = {.kind = DIRECTORY, .mode = 0755, .number = 1, .names = 1, .place = &root};
static node root = {.file = &root_file, .order = 1};
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

static int step_into(node *here, const char *name, size_t n, node **next) {
    if (!is_directory(here)) return __WASI_ERRNO_NOTDIR;
    if (n > NAME_MAX_BYTES) return __WASI_ERRNO_NAMETOOLONG;
    *next = n == 1 && name[0] == '.'                     ? here
          : n == 2 && name[0] == '.' && name[1] == '.' ? (here->parent ? here->parent : here)
                                                         : child(here, name, n);
    return 0;
}

/* As tree_walk(); `links` is how many symbolic links may still be followed. */
static int walk(node *here, const char *path, size_t n, bool follow, int *links, place *p) {
    const char *at = path, *end = path + n;
    bool slash = n && end[-1] == '/';
    *p = (place){0};
    if (n && path[0] == '/') here = &root;
    for (;;) {
        while (at < end && *at == '/') at++;
        if (at == end) {
            p->found = here;
            return slash && !is_directory(here) ? __WASI_ERRNO_NOTDIR : 0;
        }
        const char *name = at;
        while (at < end && *at != '/') at++;
        size_t length = (size_t)(at - name);
        while (at < end && *at == '/') at++;
            node *next;
        int error = step_into(here, name, length, &next);
        if (error) return error;
        if (next && next->file->kind == SYMBOLIC_LINK && (at < end || slash || follow)) {
            if (!(*links)--) return __WASI_ERRNO_LOOP;
            error = walk(here, (char *)next->file->data, next->file->size, true, links, p);
            if (error || (!p->found && at == end)) return error;
            next = p->found;
        } else if (!next && at == end) {
            *p = (place){.parent = here, .leaf = name, .leaf_length = length};
            return 0;
        }
        if (!next) return __WASI_ERRNO_NOENT;
        here = next;
    }
}

int tree_walk(node *from, const char *path, size_t n, bool follow, place *found) {
    int links = MAX_LINKS;
    return memchr(path, 0, n) ? __WASI_ERRNO_INVAL : walk(from, path, n, follow, &links, found);
}

static void changed(node *directory) { directory->file->modified = directory->file->changed = host_clock(0); }

static void attach(node *parent, node *added) {
    added->parent = parent;
    added->next = NULL;
    added->order = ++last_number;
    if (parent->last) parent->last->next = added;
    else parent->first = added;
    parent->last = added;
    changed(parent);
}

static void detach(node *gone) {
    node *parent = gone->parent, *before = NULL;
    for (node *c = parent->first; c != gone; c = c->next) before = c;
    if (before) before->next = gone->next;
    else parent->first = gone->next;
    if (parent->last == gone) parent->last = before;
    gone->parent = NULL;
    changed(parent);
}

static node *named(inode *file, const char *name, size_t n) {
    node *fresh = calloc(1, sizeof(node) + n);
    if (!fresh) return NULL;
    memcpy(fresh->name, name, n);
    fresh->name_length = n;
    fresh->file = file;
    if (file->kind == DIRECTORY) file->place = fresh;
    return fresh;
}

static int addable(const node *parent) {
    if (parent->file->sealed) return __WASI_ERRNO_ROFS;
    if (parent != &root && !parent->parent) return __WASI_ERRNO_NOENT; /* a removed directory */
    return files_used >= files_limit ? __WASI_ERRNO_NOSPC : 0;
}

int tree_link(inode *file, node *parent, const char *name, size_t n) {
    int error = addable(parent);
    if (error) return error;
    node *added = named(file, name, n);
    if (!added) return __WASI_ERRNO_NOMEM;
    attach(parent, added);
    file->names++;
    file->changed = parent->file->changed;
    files_used++;
    return 0;
}

int tree_create(node *parent, const char *name, size_t n, kind kind, uint16_t mode, node **made) {
    inode *file = calloc(1, sizeof *file);
    if (!file) return __WASI_ERRNO_NOMEM;
    file->kind = (uint8_t)kind;
    file->mode = mode & 07777;
    int error = tree_link(file, parent, name, n);
    if (error) {
        free(file);
        return error;
    }
    *made = parent->last;
    file->number = parent->last->order;
    file->accessed = file->modified = file->changed;
    return 0;
}

static int make_room(inode *file, size_t size) {
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

int tree_resize(inode *file, size_t size) {
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

static void discard_if_unused(inode *file) {
    if (file->names || file->opens) return;
    bytes_used -= file->size;
    if (!file->borrowed) free(file->data);
    free(file->place);
    free(file);
}

/* The image's own entries, /tmp and /work included, stay where they are. */
static bool fixed(const node *n) { return n == &root || n->file->sealed || !n->parent || n->parent->file->sealed; }

int tree_unlink(node *victim) {
    if (fixed(victim)) return __WASI_ERRNO_ROFS;
    if (victim->first) return __WASI_ERRNO_NOTEMPTY;
    inode *file = victim->file;
    detach(victim);
    files_used--;
    file->names--;
    file->changed = host_clock(0);
    if (!is_directory(victim)) free(victim);
    discard_if_unused(file);
    return 0;
}

void tree_release(inode *closed) {
    closed->opens--;
    if (closed->packed && !closed->opens) {
        free(closed->data);
        closed->data = NULL;
    }
    discard_if_unused(closed);
}

static bool inside(const node *parent, const node *moved) {
    for (; parent; parent = parent->parent)
        if (parent == moved) return true;
    return false;
}

/* Names are stored in the node, so a new name is a new node in the old one's place. */
int tree_rename(node *moved, node *parent, const char *name, size_t n) {
    if (fixed(moved) || parent->file->sealed) return __WASI_ERRNO_ROFS;
    if (inside(parent, moved)) return __WASI_ERRNO_INVAL;
    if (parent != &root && !parent->parent) return __WASI_ERRNO_NOENT;
    node *renamed = named(moved->file, name, n);
    if (!renamed) return __WASI_ERRNO_NOMEM;
    renamed->first = moved->first;
    renamed->last = moved->last;
    for (node *c = renamed->first; c; c = c->next) c->parent = renamed;
    detach(moved);
    free(moved);
    attach(parent, renamed);
    renamed->file->changed = parent->file->changed;
    return 0;
}

static void seal(node *here) {
    here->file->sealed = true;
    for (node *c = here->first; c; c = c->next) seal(c);
}

void tree_seal(void) {
    seal(&root);
    files_used = 0;
    bytes_used = 0;
}

void tree_unseal(node *directory) { directory->file->sealed = false; }
