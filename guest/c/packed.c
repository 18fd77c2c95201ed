/* Files of the image that are rarely read lie in it compressed, and are unpacked for as long as they are open. */
#include <stdlib.h>
#include <zlib.h>

#include "cloche.h"
#include "memfs.h"

static bool unpack(inode *file) {
    uLongf size = (uLongf)file->size;
    uint8_t *data = malloc(size ? size : 1);
    if (!data || uncompress(data, &size, file->packed, (uLong)file->packed_size) != Z_OK || size != file->size) {
        free(data);
        return false;
    }
    file->data = data;
    return true;
}

/* As cloche_bake_file(), of a file that has `full` bytes when it is unpacked. */
EXPORT("cloche_bake_packed") int32_t cloche_bake_packed(const char *path, int32_t n, uint8_t *data, int32_t size, int32_t full) {
    inode *file = memfs_bake(path, n, NULL, full);
    memfs_unpack = unpack;
    if (!file) return -1;
    file->packed = data;
    file->packed_size = (size_t)size;
    return 0;
}
