/* Threads that take turns: see threads.c. */
#ifndef CLOCHE_THREADS_H
#define CLOCHE_THREADS_H

#include <stdbool.h>

struct _object;
/* Adds the functions of this file to the module _cloche. Returns 0, or -1 with an exception. */
int cloche_threads_init(struct _object *module);
/* Whether there is any thread but the first. */
bool cloche_has_threads(void);
/* Before the running thread is entered again. */
void cloche_threads_enter(void);
/* What an outermost eval loop has returned: runs other threads, until the request is answered or the program is left
 * for the host. Returns what goes to the host, or NULL with an exception. */
struct _object *cloche_threads_run(struct _object *returned);
/* deadlock.c: a wait in C for another thread, set while there is one. Returns false where none can run; the caller may
 * look again otherwise. */
extern bool (*cloche_threads_pass)(void);

#endif
