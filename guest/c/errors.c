/* Numbers and texts of errors as programs know them from Linux. libc's own are WASI's, and stay so inside C; CPython is
 * patched to convert them where they become exceptions. */
#include <errno.h>
#include <stdio.h>

#include "cloche_errno.h"

static const struct {
    int number;
    char *text;
} linux_errors[] = {
    [E2BIG] = {7, "Argument list too long"},
    [EACCES] = {13, "Permission denied"},
    [EADDRINUSE] = {98, "Address already in use"},
    [EADDRNOTAVAIL] = {99, "Cannot assign requested address"},
    [EAFNOSUPPORT] = {97, "Address family not supported by protocol"},
    [EAGAIN] = {11, "Resource temporarily unavailable"},
    [EALREADY] = {114, "Operation already in progress"},
    [EBADF] = {9, "Bad file descriptor"},
    [EBADMSG] = {74, "Bad message"},
    [EBUSY] = {16, "Device or resource busy"},
    [ECANCELED] = {125, "Operation canceled"},
    [ECHILD] = {10, "No child processes"},
    [ECONNABORTED] = {103, "Software caused connection abort"},
    [ECONNREFUSED] = {111, "Connection refused"},
    [ECONNRESET] = {104, "Connection reset by peer"},
    [EDEADLK] = {35, "Resource deadlock avoided"},
    [EDESTADDRREQ] = {89, "Destination address required"},
    [EDOM] = {33, "Numerical argument out of domain"},
    [EDQUOT] = {122, "Disk quota exceeded"},
    [EEXIST] = {17, "File exists"},
    [EFAULT] = {14, "Bad address"},
    [EFBIG] = {27, "File too large"},
    [EHOSTUNREACH] = {113, "No route to host"},
    [EIDRM] = {43, "Identifier removed"},
    [EILSEQ] = {84, "Invalid or incomplete multibyte or wide character"},
    [EINPROGRESS] = {115, "Operation now in progress"},
    [EINTR] = {4, "Interrupted system call"},
    [EINVAL] = {22, "Invalid argument"},
    [EIO] = {5, "Input/output error"},
    [EISCONN] = {106, "Transport endpoint is already connected"},
    [EISDIR] = {21, "Is a directory"},
    [ELOOP] = {40, "Too many levels of symbolic links"},
    [EMFILE] = {24, "Too many open files"},
    [EMLINK] = {31, "Too many links"},
    [EMSGSIZE] = {90, "Message too long"},
    [EMULTIHOP] = {72, "Multihop attempted"},
    [ENAMETOOLONG] = {36, "File name too long"},
    [ENETDOWN] = {100, "Network is down"},
    [ENETRESET] = {102, "Network dropped connection on reset"},
    [ENETUNREACH] = {101, "Network is unreachable"},
    [ENFILE] = {23, "Too many open files in system"},
    [ENOBUFS] = {105, "No buffer space available"},
    [ENODEV] = {19, "No such device"},
    [ENOENT] = {2, "No such file or directory"},
    [ENOEXEC] = {8, "Exec format error"},
    [ENOLCK] = {37, "No locks available"},
    [ENOLINK] = {67, "Link has been severed"},
    [ENOMEM] = {12, "Cannot allocate memory"},
    [ENOMSG] = {42, "No message of desired type"},
    [ENOPROTOOPT] = {92, "Protocol not available"},
    [ENOSPC] = {28, "No space left on device"},
    [ENOSYS] = {38, "Function not implemented"},
    [ENOTCAPABLE] = {1, "Operation not permitted"},
    [ENOTCONN] = {107, "Transport endpoint is not connected"},
    [ENOTDIR] = {20, "Not a directory"},
    [ENOTEMPTY] = {39, "Directory not empty"},
    [ENOTRECOVERABLE] = {131, "State not recoverable"},
    [ENOTSOCK] = {88, "Socket operation on non-socket"},
    [ENOTSUP] = {95, "Operation not supported"},
    [ENOTTY] = {25, "Inappropriate ioctl for device"},
    [ENXIO] = {6, "No such device or address"},
    [EOVERFLOW] = {75, "Value too large for defined data type"},
    [EOWNERDEAD] = {130, "Owner died"},
    [EPERM] = {1, "Operation not permitted"},
    [EPIPE] = {32, "Broken pipe"},
    [EPROTO] = {71, "Protocol error"},
    [EPROTONOSUPPORT] = {93, "Protocol not supported"},
    [EPROTOTYPE] = {91, "Protocol wrong type for socket"},
    [ERANGE] = {34, "Numerical result out of range"},
    [EROFS] = {30, "Read-only file system"},
    [ESPIPE] = {29, "Illegal seek"},
    [ESRCH] = {3, "No such process"},
    [ESTALE] = {116, "Stale file handle"},
    [ETIMEDOUT] = {110, "Connection timed out"},
    [ETXTBSY] = {26, "Text file busy"},
    [EXDEV] = {18, "Invalid cross-device link"},
};
enum { COUNT = sizeof linux_errors / sizeof *linux_errors };

int cloche_errno(int number) {
    return number > 0 && number < COUNT && linux_errors[number].number ? linux_errors[number].number : number;
}

char *cloche_strerror(int number) {
    static char unknown[32];
    for (int i = 0; i < COUNT; i++)
        if (linux_errors[i].text && linux_errors[i].number == number) return linux_errors[i].text;
    if (number == 108) return "Cannot send after transport endpoint shutdown"; /* ESHUTDOWN: WASI has none */
    snprintf(unknown, sizeof unknown, number ? "Unknown error %d" : "Success", number);
    return unknown;
}
