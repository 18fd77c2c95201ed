/* Writes down what a process does to the files below $POWERLOSS_ROOT, in order, into $POWERLOSS_LOG: preloaded with
 * LD_PRELOAD. A record is a letter, the path's length (16 bits), the path, a number (64 bits), the data's length (32
 * bits), and the data; numbers are little-endian, as the machine's. The calls themselves are not changed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_file = -1;

static const char *below_root(const char *path) {
    static const char *root;
    static size_t size;
    if (!root) {
        root = getenv("POWERLOSS_ROOT");
        if (!root) return NULL;
        size = strlen(root);
    }
    return path && !strncmp(path, root, size) && path[size] == '/' ? path + size + 1
         : path && !strcmp(path, root)                             ? "."
                                                                   : NULL;
}

static void note(char kind, const char *path, int64_t number, const void *data, uint32_t length) {
    uint16_t size = (uint16_t)strlen(path);
    struct iovec parts[] = {{&kind, 1}, {&size, 2}, {(void *)path, size}, {&number, 8}, {&length, 4}, {(void *)data, length}};
    pthread_mutex_lock(&lock);
    if (log_file < 0)
        log_file = (int)syscall(SYS_openat, AT_FDCWD, getenv("POWERLOSS_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (syscall(SYS_writev, log_file, parts, 6) < 0) abort();
    pthread_mutex_unlock(&lock);
}

static const char *path_of(int file, char *buffer) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, buffer, 4095);
    if (size <= 0) return NULL;
    buffer[size] = 0;
    return below_root(buffer);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void opened(int folder, const char *path, int flags, int before) {
    char place[4096], whole[8192];
    const char *found = below_root(path);
    if (!found && path[0] != '/' && folder != AT_FDCWD && path_of(folder, place)) {
        snprintf(whole, sizeof whole, "%s/%s", place, path);
        found = below_root(whole);
    }
    if (!found) return;
    if (!before && (flags & O_CREAT)) note('C', found, 0, "", 0);
    if (before && (flags & O_TRUNC)) note('T', found, 0, "", 0);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = va_arg(more, mode_t); \
        va_end(more); \
        int before = !access(path, F_OK), file = real(path, flags, mode); \
        if (file >= 0) opened(AT_FDCWD, path, flags, before); \
        return file; \
    }
#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = va_arg(more, mode_t); \
        va_end(more); \
        int before = !faccessat(folder, path, F_OK, 0), file = real(folder, path, flags, mode); \
        if (file >= 0) opened(folder, path, flags, before); \
        return file; \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

static void wrote(int file, const void *data, ssize_t length, int64_t offset) {
    char place[4096];
    const char *path = length > 0 ? path_of(file, place) : NULL;
    if (path) note('W', path, offset, data, (uint32_t)length);
}

ssize_t write(int file, const void *data, size_t length) {
    REAL(write);
    ssize_t done = real(file, data, length);
    if (done > 0) wrote(file, data, done, lseek(file, 0, SEEK_CUR) - done);
    return done;
}

#define PWRITE(name) \
    ssize_t name(int file, const void *data, size_t length, __typeof__((off_t)0) offset) { \
        REAL(name); \
        ssize_t done = real(file, data, length, offset); \
        wrote(file, data, done, offset); \
        return done; \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define CHANGED(name, type, letter) \
    int name type { \
        REAL(name); \
        char place[4096]; \
        const char *path = path_of(file, place); \
        int failed = real ARGUMENTS; \
        if (!failed && path) note(letter, path, NUMBER, "", 0); \
        return failed; \
    }
#define ARGUMENTS (file, size)
#define NUMBER size
CHANGED(ftruncate, (int file, off_t size), 'T')
CHANGED(ftruncate64, (int file, off_t size), 'T')
#undef ARGUMENTS
#undef NUMBER
#define ARGUMENTS (file)
#define NUMBER 0
CHANGED(fsync, (int file), 'S')
CHANGED(fdatasync, (int file), 'S')

int rename(const char *from, const char *to) {
    REAL(rename);
    const char *old = below_root(from), *new = below_root(to);
    int failed = real(from, to);
    if (!failed && old && new) note('R', old, 0, new, (uint32_t)strlen(new));
    return failed;
}

int unlink(const char *path) {
    REAL(unlink);
    const char *found = below_root(path);
    int failed = real(path);
    if (!failed && found) note('U', found, 0, "", 0);
    return failed;
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    const char *found = below_root(path);
    int failed = real(path, mode);
    if (!failed && found) note('D', found, 0, "", 0);
    return failed;
}
