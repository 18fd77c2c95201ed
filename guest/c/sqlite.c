/* SQLite in a world of one process: what its Unix layer would ask the system for. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "cloche.h"

static bool started;

/* Locks between processes always succeed, as there is one; connections of this process are told apart by SQLite. */
static int lock_of_one_process(int fd, int operation, ...) {
    (void)fd, (void)operation;
    return 0;
}

static int randomness(sqlite3_vfs *system, int n, char *to) {
    (void)system;
    host_entropy(to, n);
    return n;
}

/* Called by SQLite when it is first used: see SQLITE_EXTRA_INIT in the recipe. */
int cloche_sqlite_start(const char *unused) {
    (void)unused;
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    if (!system) return SQLITE_ERROR;
    system->xRandomness = randomness;
    started = true;
    return system->xSetSystemCall(system, "fcntl", (sqlite3_syscall_ptr)lock_of_one_process);
}

void cloche_sqlite_reseed(void) {
    if (started) sqlite3_randomness(0, NULL);
}
