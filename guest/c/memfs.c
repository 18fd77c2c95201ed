/* The file half of WASI, served from the guest's own memory.
 *
 * libc calls __imported_wasi_snapshot_preview1_<name>; a definition of exactly that
 * name, linked in here, takes the import's place, so nothing of the host's files can
 * even be asked for. Pointers arrive as 32-bit integers, as in the wasm signatures. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wasi/api.h>

#include "cloche.h"
#include "memfs.h"
#include "tree.h"

#define WASI(name) int32_t __imported_wasi_snapshot_preview1_##name
#define AT(type, address) ((type *)(uintptr_t)(uint32_t)(address))

enum { FIRST_FD = 4, MAX_FDS = 256, ROOT_FD = 3, USER = 1000, FOLLOW = __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW };

typedef struct {
    inode *file; /* NULL: free */
    uint16_t at; /* which of the positions is its own */
    uint16_t flags;
    bool reads, writes;
} descriptor;

static descriptor table[MAX_FDS];
/* Duplicates of a descriptor share one. */
static struct {
    uint64_t position;
    uint32_t users; /* 0: free */
} positions[MAX_FDS];
#define POSITION(d) (positions[(d)->at].position)

static descriptor *lookup(int32_t fd) {
    if (fd == ROOT_FD) {
        table[ROOT_FD].file = tree_root()->file;
        return &table[ROOT_FD];
    }
    if (fd < FIRST_FD || fd >= MAX_FDS || !table[fd].file) return NULL;
    return &table[fd];
}

static bool is_output(int32_t fd) { return fd == 1 || fd == 2; }

static int regular(int32_t fd, descriptor **d) {
    *d = lookup(fd);
    if (!*d) return __WASI_ERRNO_BADF;
    return (*d)->file->kind == DIRECTORY ? __WASI_ERRNO_ISDIR : 0;
}

/* ---- reading and writing ---- */

/* What is left of standard input. */
static const uint8_t *input;
static size_t input_left;

void memfs_feed(const uint8_t *data, size_t n) { input = data, input_left = n; }

static size_t read_input(uint8_t *to, size_t n) {
    if (n > input_left) n = input_left;
    if (n) memcpy(to, input, n);
    input += n, input_left -= n;
    return n;
}

static size_t read_device(const inode *device, uint8_t *to, size_t n) {
    if (device->kind == INPUT) return read_input(to, n);
    if (device->kind == ZEROS) memset(to, 0, n);
    else if (device->kind == RANDOM_BYTES && n <= INT32_MAX) host_entropy(to, (int32_t)n);
    else return 0;
    return n;
}

static size_t read_at(const inode *file, uint64_t position, uint8_t *to, size_t n) {
    if (is_device(file)) return read_device(file, to, n);
    if (position >= file->size) return 0;
    if (n > file->size - position) n = file->size - (size_t)position;
    memcpy(to, file->data + position, n);
    return n;
}

static int read_vectors(descriptor *d, int32_t iovs, int32_t count, uint64_t from, int32_t done) {
    const __wasi_iovec_t *v = AT(const __wasi_iovec_t, iovs);
    size_t total = 0;
    for (int32_t i = 0; i < count; i++) total += read_at(d->file, from + total, v[i].buf, v[i].buf_len);
    *AT(__wasi_size_t, done) = total;
    return 0;
}

static int write_at(inode *file, uint64_t position, const uint8_t *from, size_t n) {
    if (is_device(file)) {
        if (n && file->kind >= OUTPUT) host_write(file->kind == OUTPUT ? 1 : 2, from, (int32_t)n);
        return 0;
    }
    /* Not FBIG: as a number of Linux it is WASI's EINTR, and CPython's buffers would try again without end. */
    if (position + n > UINT32_MAX) return __WASI_ERRNO_NOSPC;
    if (position + n > file->size) {
        int error = tree_resize(file, (size_t)position + n);
        if (error) return error;
    }
    if (n) memcpy(file->data + position, from, n);
    return 0;
}

static int write_vectors(descriptor *d, int32_t iovs, int32_t count, uint64_t to, int32_t done) {
    const __wasi_ciovec_t *v = AT(const __wasi_ciovec_t, iovs);
    size_t total = 0;
    if (!d->writes) return __WASI_ERRNO_BADF;
    for (int32_t i = 0; i < count; i++) {
        int error = write_at(d->file, to + total, v[i].buf, v[i].buf_len);
        if (error) return error;
        total += v[i].buf_len;
    }
    if (!d->file->sealed) d->file->modified = d->file->changed = host_clock(0);
    *AT(__wasi_size_t, done) = total;
    return 0;
}

WASI(fd_read)(int32_t fd, int32_t iovs, int32_t count, int32_t done) {
    descriptor *d;
    if (fd == 0) {
        const __wasi_iovec_t *v = AT(const __wasi_iovec_t, iovs);
        size_t total = 0;
        for (int32_t i = 0; i < count; i++) total += read_input(v[i].buf, v[i].buf_len);
        *AT(__wasi_size_t, done) = total;
        return 0;
    }
    int error = regular(fd, &d);
    if (error) return error;
    read_vectors(d, iovs, count, POSITION(d), done);
    POSITION(d) += *AT(__wasi_size_t, done);
    return 0;
}

WASI(fd_pread)(int32_t fd, int32_t iovs, int32_t count, int64_t offset, int32_t done) {
    descriptor *d;
    int error = regular(fd, &d);
    return error ? error : read_vectors(d, iovs, count, (uint64_t)offset, done);
}

static int write_output(int32_t fd, int32_t iovs, int32_t count, int32_t done) {
    const __wasi_ciovec_t *v = AT(const __wasi_ciovec_t, iovs);
    size_t total = 0;
    for (int32_t i = 0; i < count; total += v[i++].buf_len)
        if (v[i].buf_len) host_write(fd, v[i].buf, (int32_t)v[i].buf_len);
    *AT(__wasi_size_t, done) = total;
    return 0;
}

WASI(fd_write)(int32_t fd, int32_t iovs, int32_t count, int32_t done) {
    descriptor *d;
    if (is_output(fd)) return write_output(fd, iovs, count, done);
    int error = regular(fd, &d);
    if (error) return error;
    if (d->flags & __WASI_FDFLAGS_APPEND) POSITION(d) = d->file->size;
    error = write_vectors(d, iovs, count, POSITION(d), done);
    if (!error) POSITION(d) += *AT(__wasi_size_t, done);
    return error;
}

WASI(fd_pwrite)(int32_t fd, int32_t iovs, int32_t count, int64_t offset, int32_t done) {
    descriptor *d;
    int error = regular(fd, &d);
    return error ? error : write_vectors(d, iovs, count, (uint64_t)offset, done);
}

WASI(fd_seek)(int32_t fd, int64_t offset, int32_t whence, int32_t result) {
    descriptor *d;
    if (fd >= 0 && fd < ROOT_FD) return __WASI_ERRNO_SPIPE;
    int error = regular(fd, &d);
    if (error) return error;
    int64_t base = whence == __WASI_WHENCE_SET ? 0
                 : whence == __WASI_WHENCE_CUR ? (int64_t)POSITION(d) : (int64_t)d->file->size;
    int64_t position;
    if (__builtin_add_overflow(base, offset, &position) || position < 0) return __WASI_ERRNO_INVAL;
    POSITION(d) = (uint64_t)position;
    *AT(__wasi_filesize_t, result) = POSITION(d);
    return 0;
}

WASI(fd_tell)(int32_t fd, int32_t result) {
    descriptor *d;
    int error = regular(fd, &d);
    if (!error) *AT(__wasi_filesize_t, result) = POSITION(d);
    return error;
}

/* ---- descriptors ---- */

static void release(descriptor *d) {
    tree_release(d->file);
    positions[d->at].users--;
    d->file = NULL;
}

static int32_t free_descriptor(void) {
    for (int32_t fd = FIRST_FD; fd < MAX_FDS; fd++)
        if (!table[fd].file) return fd;
    return -1;
}

/* There is one for each descriptor. */
static uint16_t free_position(void) {
    uint16_t at = FIRST_FD;
    while (positions[at].users) at++;
    positions[at].position = 0;
    positions[at].users = 1;
    return at;
}

WASI(fd_close)(int32_t fd) {
    if (fd >= 0 && fd <= ROOT_FD) return 0;
    descriptor *d = lookup(fd);
    if (!d) return __WASI_ERRNO_BADF;
    release(d);
    return 0;
}

int memfs_duplicate(int fd, int to) {
    descriptor *d = lookup(fd);
    if (!d || fd == ROOT_FD || (to >= 0 && to < FIRST_FD) || to >= MAX_FDS) return -EBADF;
    if (to == fd) return to;
    if (to < 0) to = free_descriptor();
    if (to < 0) return -EMFILE;
    if (table[to].file) release(&table[to]);
    table[to] = *d;
    d->file->opens++;
    positions[d->at].users++;
    return to;
}

/* zig's own close() imports fd_close under a name C cannot define; so close() itself is ours. */
int close(int fd) {
    int32_t error = __imported_wasi_snapshot_preview1_fd_close(fd);
    if (error) errno = error;
    return error ? -1 : 0;
}

WASI(fd_renumber)(int32_t from, int32_t to) {
    descriptor *d = lookup(from), *target = lookup(to);
    if (!d || !target || from == ROOT_FD || to == ROOT_FD) return __WASI_ERRNO_BADF;
    if (d == target) return 0;
    release(target);
    *target = *d;
    d->file = NULL;
    return 0;
}

static uint8_t filetype(const inode *file) {
    return file->kind == DIRECTORY       ? __WASI_FILETYPE_DIRECTORY
         : file->kind == SYMBOLIC_LINK ? __WASI_FILETYPE_SYMBOLIC_LINK
         : is_device(file)             ? __WASI_FILETYPE_CHARACTER_DEVICE
                                       : __WASI_FILETYPE_REGULAR_FILE;
}

WASI(fd_fdstat_get)(int32_t fd, int32_t result) {
    __wasi_fdstat_t *stat = AT(__wasi_fdstat_t, result);
    descriptor *d = lookup(fd);
    bool stream = fd >= 0 && fd < ROOT_FD;
    if (!d && !stream) return __WASI_ERRNO_BADF;
    *stat = (__wasi_fdstat_t){.fs_rights_base = ~0ull, .fs_rights_inheriting = ~0ull};
    stat->fs_filetype = stream ? __WASI_FILETYPE_CHARACTER_DEVICE : filetype(d->file);
    /* Streams have the right to seek, too, though they cannot: libc takes one without it for a terminal. */
    if (!stream) stat->fs_flags = d->flags;
    return 0;
}

WASI(fd_fdstat_set_flags)(int32_t fd, int32_t flags) {
    descriptor *d = lookup(fd);
    if (!d) return __WASI_ERRNO_BADF;
    d->flags = (uint16_t)flags;
    return 0;
}

WASI(fd_prestat_get)(int32_t fd, int32_t result) {
    if (fd != ROOT_FD) return __WASI_ERRNO_BADF;
    *AT(__wasi_prestat_t, result) = (__wasi_prestat_t){.tag = __WASI_PREOPENTYPE_DIR, .u.dir.pr_name_len = 1};
    return 0;
}

WASI(fd_prestat_dir_name)(int32_t fd, int32_t path, int32_t n) {
    if (fd != ROOT_FD || n < 1) return __WASI_ERRNO_BADF;
    *AT(char, path) = '/';
    return 0;
}

/* ---- status ---- */

/* WASI knows no modes or owners. They travel in the upper half of the number of names: CPython's stat takes them out. */
static int describe(const inode *file, int32_t result) {
    uint64_t names = file->names | (uint64_t)file->mode << 32 | (uint64_t)USER << 48;
    *AT(__wasi_filestat_t, result) = (__wasi_filestat_t){
        .dev = 1, .ino = file->number, .nlink = names, .size = file->size, .filetype = filetype(file),
        .atim = (uint64_t)file->accessed, .mtim = (uint64_t)file->modified, .ctim = (uint64_t)file->changed};
    return 0;
}

static int touch(inode *file, int64_t accessed, int64_t modified, int32_t flags) {
    if (file->sealed) return __WASI_ERRNO_ROFS;
    file->changed = host_clock(0);
    if (flags & __WASI_FSTFLAGS_ATIM_NOW) file->accessed = file->changed;
    else if (flags & __WASI_FSTFLAGS_ATIM) file->accessed = accessed;
    if (flags & __WASI_FSTFLAGS_MTIM_NOW) file->modified = file->changed;
    else if (flags & __WASI_FSTFLAGS_MTIM) file->modified = modified;
    return 0;
}

inode *memfs_opened(int fd) {
    static inode stream = {.kind = OUTPUT, .mode = 0620, .names = 1, .sealed = true};
    descriptor *d = lookup(fd);
    return d ? d->file : fd >= 0 && fd < ROOT_FD ? &stream : NULL;
}

WASI(fd_filestat_get)(int32_t fd, int32_t result) {
    inode *file = memfs_opened(fd);
    return file ? describe(file, result) : __WASI_ERRNO_BADF;
}

WASI(fd_filestat_set_size)(int32_t fd, int64_t size) {
    descriptor *d;
    int error = regular(fd, &d);
    if (error) return error;
    if (d->file->sealed || !d->writes) return __WASI_ERRNO_BADF;
    if (size < 0) return __WASI_ERRNO_INVAL;
    return size > UINT32_MAX ? __WASI_ERRNO_FBIG : tree_resize(d->file, (size_t)size);
}

WASI(fd_filestat_set_times)(int32_t fd, int64_t accessed, int64_t modified, int32_t flags) {
    descriptor *d = lookup(fd);
    return d ? touch(d->file, accessed, modified, flags) : __WASI_ERRNO_BADF;
}

/* ---- paths ---- */

static int walk(int32_t fd, int32_t path, int32_t n, bool follow, place *p) {
    descriptor *d = lookup(fd);
    if (!d) return __WASI_ERRNO_BADF;
    if (!n) return __WASI_ERRNO_NOENT;
    node *from = d->file->place;
    return from ? tree_walk(from, AT(const char, path), (size_t)n, follow, p) : __WASI_ERRNO_NOTDIR;
}

static int find(int32_t fd, int32_t path, int32_t n, bool follow, node **found) {
    place p = {0};
    int error = walk(fd, path, n, follow, &p);
    *found = p.found;
    return error ? error : p.found ? 0 : __WASI_ERRNO_NOENT;
}

bool (*memfs_unpack)(inode *file);

static int open_existing(inode *file, int32_t oflags, bool writes) {
    bool truncates = oflags & __WASI_OFLAGS_TRUNC;
    if (oflags & __WASI_OFLAGS_EXCL && oflags & __WASI_OFLAGS_CREAT) return __WASI_ERRNO_EXIST;
    if (oflags & __WASI_OFLAGS_DIRECTORY && file->kind != DIRECTORY) return __WASI_ERRNO_NOTDIR;
    if (file->kind == SYMBOLIC_LINK) return __WASI_ERRNO_LOOP;
    if (writes && file->kind == DIRECTORY) return __WASI_ERRNO_ISDIR;
    if (is_device(file)) return 0;
    if (file->sealed && (writes || truncates)) return __WASI_ERRNO_ROFS;
    if (file->packed && !file->data && !memfs_unpack(file)) return __WASI_ERRNO_NOMEM;
    return truncates && file->kind == REGULAR ? tree_resize(file, 0) : 0;
}

static int open_place(place *p, const char *path, int32_t n, int32_t oflags, bool writes, uint16_t mode) {
    if (p->found) return open_existing(p->found->file, oflags, writes);
    if (!(oflags & __WASI_OFLAGS_CREAT)) return __WASI_ERRNO_NOENT;
    if (path[n - 1] == '/') return __WASI_ERRNO_ISDIR;
    return tree_create(p->parent, p->leaf, p->leaf_length, REGULAR, mode, &p->found);
}

WASI(path_open)(int32_t fd, int32_t lookup_flags, int32_t path, int32_t n, int32_t oflags, int64_t rights,
                int64_t inherited, int32_t flags, int32_t result) {
    place p = {0};
    (void)inherited;
    bool writes = rights & __WASI_RIGHTS_FD_WRITE, reads = rights & __WASI_RIGHTS_FD_READ;
    /* A new file never takes the place of what a link leads to, if it must be new. */
    bool follow = lookup_flags & FOLLOW && !(oflags & __WASI_OFLAGS_EXCL);
    uint16_t mode = memfs_new_mode(0666);
    int32_t opened = free_descriptor();
    if (opened < 0) return __WASI_ERRNO_MFILE;
    int error = walk(fd, path, n, follow, &p);
    bool lists = p.found && is_directory(p.found) && oflags & __WASI_OFLAGS_DIRECTORY;
    if (!error) error = open_place(&p, AT(const char, path), n, oflags, writes && !lists, mode);
    if (error) return error;
    table[opened] = (descriptor){p.found->file, free_position(), (uint16_t)flags, reads, writes};
    p.found->file->opens++;
    *AT(int32_t, result) = opened;
    return 0;
}

WASI(path_filestat_get)(int32_t fd, int32_t flags, int32_t path, int32_t n, int32_t result) {
    node *found;
    int error = find(fd, path, n, flags & FOLLOW, &found);
    return error ? error : describe(found->file, result);
}

WASI(path_filestat_set_times)(int32_t fd, int32_t lookup_flags, int32_t path, int32_t n, int64_t accessed,
                              int64_t modified, int32_t flags) {
    node *found;
    int error = find(fd, path, n, lookup_flags & FOLLOW, &found);
    return error ? error : touch(found->file, accessed, modified, flags);
}

WASI(path_create_directory)(int32_t fd, int32_t path, int32_t n) {
    place p;
    node *made;
    uint16_t mode = memfs_new_mode(0777);
    int error = walk(fd, path, n, false, &p);
    if (error) return error;
    return p.found ? __WASI_ERRNO_EXIST : tree_create(p.parent, p.leaf, p.leaf_length, DIRECTORY, mode, &made);
}

static int remove_kind(int32_t fd, int32_t path, int32_t n, bool directory) {
    node *found;
    int error = find(fd, path, n, false, &found);
    if (error) return error;
    if (is_directory(found) != directory) return directory ? __WASI_ERRNO_NOTDIR : __WASI_ERRNO_ISDIR;
    return tree_unlink(found);
}

WASI(path_remove_directory)(int32_t fd, int32_t path, int32_t n) { return remove_kind(fd, path, n, true); }

WASI(path_unlink_file)(int32_t fd, int32_t path, int32_t n) { return remove_kind(fd, path, n, false); }

/* What a rename would overwrite goes first, if it may. */
static int make_way(node *old, const node *moved) {
    if (is_directory(old) && !is_directory(moved)) return __WASI_ERRNO_ISDIR;
    if (!is_directory(old) && is_directory(moved)) return __WASI_ERRNO_NOTDIR;
    return tree_unlink(old);
}

WASI(path_rename)(int32_t fd, int32_t path, int32_t n, int32_t new_fd, int32_t new_path, int32_t new_n) {
    node *moved;
    place p;
    int error = find(fd, path, n, false, &moved);
    if (!error) error = walk(new_fd, new_path, new_n, false, &p);
    if (error || (p.found && p.found->file == moved->file)) return error;
    if (p.found) {
        /* The last component, taken from the old entry before it is gone. */
        char name[256];
        node *parent = p.found->parent;
        size_t length = p.found->name_length;
        memcpy(name, p.found->name, length);
        if (!parent || moved->file->sealed || !moved->parent || moved->parent->file->sealed) return __WASI_ERRNO_ROFS;
        for (node *up = parent; up; up = up->parent) if (up == moved) return __WASI_ERRNO_INVAL;
        error = make_way(p.found, moved);
        return error ? error : tree_rename(moved, parent, name, length);
    }
    return tree_rename(moved, p.parent, p.leaf, p.leaf_length);
}

/* ---- directories ---- */

static size_t put(uint8_t *to, size_t room, const void *from, size_t n) {
    if (n > room) n = room;
    memcpy(to, from, n);
    return n;
}

/* Entries from the cookie on; the last may be cut off, as WASI has it. The cookie is the
 * order number of the entry before, so deleting while reading skips nothing. */
WASI(fd_readdir)(int32_t fd, int32_t buffer, int32_t room, int64_t cookie, int32_t result) {
    descriptor *d = lookup(fd);
    if (!d) return __WASI_ERRNO_BADF;
    if (d->file->kind != DIRECTORY) return __WASI_ERRNO_NOTDIR;
    uint8_t *to = AT(uint8_t, buffer);
    size_t used = 0, size = (size_t)(uint32_t)room;
    for (node *c = d->file->place->first; c && used < size; c = c->next) {
        if (c->order <= (uint64_t)cookie) continue;
        __wasi_dirent_t entry;
        memset(&entry, 0, sizeof entry);
        entry.d_next = c->order, entry.d_ino = c->file->number, entry.d_namlen = (uint32_t)c->name_length;
        entry.d_type = filetype(c->file);
        used += put(to + used, size - used, &entry, sizeof entry);
        used += put(to + used, size - used, c->name, c->name_length);
    }
    *AT(__wasi_size_t, result) = used;
    return 0;
}

/* ---- what has no meaning here ---- */

WASI(fd_sync)(int32_t fd) { return fd < ROOT_FD || lookup(fd) ? 0 : __WASI_ERRNO_BADF; }
WASI(fd_datasync)(int32_t fd) { return fd < ROOT_FD || lookup(fd) ? 0 : __WASI_ERRNO_BADF; }

WASI(fd_advise)(int32_t fd, int64_t offset, int64_t n, int32_t advice) {
    (void)offset, (void)n, (void)advice;
    return lookup(fd) ? 0 : __WASI_ERRNO_BADF;
}

WASI(fd_allocate)(int32_t fd, int64_t offset, int64_t n) {
    descriptor *d;
    int error = regular(fd, &d);
    if (error) return error;
    if (offset < 0 || n <= 0 || offset > UINT32_MAX || n > UINT32_MAX || offset + n > UINT32_MAX) return __WASI_ERRNO_FBIG;
    if (d->file->sealed || !d->writes) return __WASI_ERRNO_BADF;
    return (size_t)(offset + n) > d->file->size ? tree_resize(d->file, (size_t)(offset + n)) : 0;
}

WASI(fd_fdstat_set_rights)(int32_t fd, int64_t base, int64_t inheriting) {
    (void)fd, (void)base, (void)inheriting;
    return __WASI_ERRNO_NOTSUP;
}

/* ---- links ---- */

WASI(path_link)(int32_t fd, int32_t flags, int32_t path, int32_t n, int32_t new_fd, int32_t new_path, int32_t new_n) {
    node *old;
    place p;
    int error = find(fd, path, n, flags & FOLLOW, &old);
    if (!error) error = walk(new_fd, new_path, new_n, false, &p);
    if (error) return error;
    if (p.found) return __WASI_ERRNO_EXIST;
    if (is_directory(old)) return __WASI_ERRNO_PERM;
    return old->file->sealed ? __WASI_ERRNO_XDEV : tree_link(old->file, p.parent, p.leaf, p.leaf_length);
}

WASI(path_symlink)(int32_t target, int32_t length, int32_t fd, int32_t path, int32_t n) {
    place p;
    node *made;
    int error = walk(fd, path, n, false, &p);
    if (error) return error;
    if (p.found) return __WASI_ERRNO_EXIST;
    if (!length) return __WASI_ERRNO_NOENT;
    error = tree_create(p.parent, p.leaf, p.leaf_length, SYMBOLIC_LINK, 0777, &made);
    if (!error && (error = tree_resize(made->file, (size_t)length))) tree_unlink(made);
    if (!error) memcpy(made->file->data, AT(const char, target), (size_t)length);
    return error;
}

WASI(path_readlink)(int32_t fd, int32_t path, int32_t n, int32_t to, int32_t room, int32_t result) {
    node *found;
    int error = find(fd, path, n, false, &found);
    if (error) return error;
    if (found->file->kind != SYMBOLIC_LINK) return __WASI_ERRNO_INVAL;
    *AT(__wasi_size_t, result) = read_at(found->file, 0, AT(uint8_t, to), (size_t)(uint32_t)room);
    return 0;
}

/* ---- baking: how files get in before the image is sealed ---- */

static node *make_directories(const char *path, size_t n) {
    node *here = tree_root();
    for (const char *at = path, *end = path + n; at < end;) {
        tree_unseal(here); /* where files are added to an image that was sealed before, until it is sealed again */
        const char *slash = memchr(at, '/', (size_t)(end - at));
        size_t length = (size_t)((slash ? slash : end) - at);
        place p;
        if (tree_walk(here, at, length, true, &p)) return NULL;
        if (!p.found && tree_create(here, at, length, DIRECTORY, 0755, &p.found)) return NULL;
        here = p.found;
        at += length + 1;
    }
    return here;
}

EXPORT("cloche_bake_room") void *cloche_bake_room(int32_t n) { return malloc((size_t)n); }

static bool make_devices(void) {
    static const struct {
        const char *name;
        kind kind;
    } devices[] = {{"null", NULL_DEVICE}, {"zero", ZEROS},    {"urandom", RANDOM_BYTES}, {"random", RANDOM_BYTES},
                   {"stdin", INPUT}, {"stdout", OUTPUT}, {"stderr", ERRORS}};
    node *made, *parent = make_directories("dev", 3);
    for (size_t i = 0; parent && i < sizeof devices / sizeof *devices; i++)
        if (tree_create(parent, devices[i].name, strlen(devices[i].name), devices[i].kind, 0666, &made)) return false;
    return parent;
}

inode *memfs_bake(const char *path, int32_t n, uint8_t *data, int32_t size) {
    const char *name = path + n;
    tree_limits(UINT32_MAX, UINT64_MAX);
    if (!tree_root()->first && !make_devices()) return NULL; /* early: what is made last lies behind all free memory */
    while (name > path && name[-1] != '/') name--;
    node *made, *parent = make_directories(path, (size_t)(name - path));
    if (!parent || name == path + n) return parent ? parent->file : NULL;
    tree_unseal(parent);
    place p;
    if (tree_walk(parent, name, (size_t)(path + n - name), false, &p) || p.found) return NULL;
    if (tree_create(parent, name, (size_t)(path + n - name), REGULAR, 0644, &made)) return NULL;
    made->file->data = data, made->file->size = (size_t)size, made->file->borrowed = true;
    return made->file;
}

/* `path` has no leading slash; an empty name makes the directory only. `data` is kept, not copied. */
EXPORT("cloche_bake_file") int32_t cloche_bake_file(const char *path, int32_t n, uint8_t *data, int32_t size) {
    return memfs_bake(path, n, data, size) ? 0 : -1;
}

/* From now on the image is read-only but for /tmp and /work, and the caps count. */
EXPORT("cloche_bake_seal") int32_t cloche_bake_seal(void) {
    tree_seal();
    node *tmp = make_directories("tmp", 3), *work = make_directories("work", 4);
    if (!tmp || !work) return -1;
    tmp->file->mode = 01777;
    tree_unseal(tmp);
    tree_unseal(work);
    return 0;
}
