/* The memory file system's files, for what libc has and WASI has not: posix.c. */
#ifndef CLOCHE_MEMFS_H
#define CLOCHE_MEMFS_H

#include "tree.h"

/* An open file; NULL where there is none. */
inode *memfs_opened(int fd);
/* A second descriptor of what `fd` has opened, `to` or a free one below 0; else -errno. */
int memfs_duplicate(int fd, int to);
/* What standard input gives from now on; the bytes are not copied, and must stay until the next call. */
void memfs_feed(const uint8_t *data, size_t n);
/* Baking: a file of the image, whose data are kept, not copied; NULL where it cannot be made. */
inode *memfs_bake(const char *path, int32_t n, uint8_t *data, int32_t size);
/* What unpacks a packed file when it is opened; returns whether there was memory. NULL where no file is packed. */
extern bool (*memfs_unpack)(inode *file);
/* The mode of what is created next: as asked for with cloche_new_mode, or `usual`, less the mask. */
uint16_t memfs_new_mode(uint16_t usual);

#endif
