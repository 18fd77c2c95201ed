/* What libc has no words for, or gets wrong: files' modes, and processor time. CPython is patched to call these. */
#define _WASI_EMULATED_PROCESS_CLOCKS
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#include "cloche.h"
#include "memfs.h"

enum { UNSET = ~0u };

int cloche_chmod(const char *path, mode_t mode);
int cloche_fchmod(int fd, mode_t mode);
mode_t cloche_umask(mode_t mask);
clock_t cloche_times(struct tms *to);

/* The mode that the next open() or mkdir() asks for: WASI's have no argument for it. */
mode_t cloche_new_mode = UNSET;
static mode_t mask = 022;

uint16_t memfs_new_mode(uint16_t usual) {
    mode_t asked = cloche_new_mode == UNSET ? usual : cloche_new_mode;
    cloche_new_mode = UNSET;
    return (uint16_t)(asked & 07777 & ~mask);
}

static int failed(int error) {
    errno = error;
    return -1;
}

int cloche_fchmod(int fd, mode_t mode) {
    inode *file = memfs_opened(fd);
    if (!file) return failed(EBADF);
    if (file->sealed) return failed(EROFS);
    file->mode = mode & 07777;
    return 0;
}

int cloche_chmod(const char *path, mode_t mode) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return -1;
    int result = cloche_fchmod(fd, mode), error = errno;
    close(fd);
    return result ? failed(error) : 0;
}

mode_t cloche_umask(mode_t wanted) {
    mode_t before = mask;
    mask = wanted & 0777;
    return before;
}

/* Processor time: the monotonic clock's, less what was slept, from the first call on. A guest that is restored elsewhere
 * may find another clock, and begins again. */
clock_t clock(void) {
    static int64_t began;
    int64_t now = host_clock(1) - cloche_slept;
    if (!began || now < began) began = now;
    return now - began;
}

clock_t cloche_times(struct tms *to) {
    enum { TICK = 10000000 }; /* nanoseconds of sysconf(_SC_CLK_TCK) */
    *to = (struct tms){.tms_utime = clock() / TICK};
    return host_clock(1) / TICK;
}
