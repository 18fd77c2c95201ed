/* The guest's door to the host, and what its C files share.
 *
 * These five functions are everything the module imports. A test pins the list;
 * docs/abi.md gives the purpose of each. */
#ifndef CLOCHE_H
#define CLOCHE_H

#include <stdbool.h>
#include <stdint.h>

#define HOST(name) __attribute__((import_module("cloche"), import_name(name)))

/* One synchronous bridge call. Returns the reply's length; a reply longer than
 * `cap` is not copied but kept by the host for host_take(). NOT_YET: the program may leave
 * (suspend.c), and the reply is what a call with a length of 0 returns, in place of whose frame is how it went. */
HOST("call") int32_t host_call(const void *frame, int32_t len, void *reply, int32_t cap);
#define NOT_YET (-2)
enum { STAYED, ASKED, CALLED, SLEPT, STAYED_AWAKE };
#define AT_HOST(how) ((const void *)(uintptr_t)(how))
HOST("take") void host_take(void *dst);
/* A piece of output; stream 1 is stdout, 2 is stderr. */
HOST("write") void host_write(int32_t stream, const void *data, int32_t len);
/* Nanoseconds; id 0 is the wall clock, 1 the monotonic clock. */
HOST("clock") int64_t host_clock(int32_t id);
HOST("entropy") void host_entropy(void *dst, int32_t len);

/* Bytes of the inbox for small requests; the host knows the number too. */
#define CLOCHE_SMALL_INBOX 16384

#define EXPORT(name) __attribute__((export_name(name), used))

/* bridge.c */
struct _object;
struct _object *cloche_bridge_module(void);
struct _object *cloche_bridge_step(struct _object *request);
/* compile.c, immortal.c, settle.c, layer.c and scrypt.c: methods of _cloche, described there */
struct _object *cloche_compile(struct _object *module, struct _object *args);
struct _object *cloche_immortalize(struct _object *module, struct _object *objects);
struct _object *cloche_settle(struct _object *module, struct _object *headroom);
struct _object *cloche_cluster(struct _object *module, struct _object *functions);
struct _object *cloche_place(struct _object *module, struct _object *args);
struct _object *cloche_seal(struct _object *module, struct _object *none);
struct _object *cloche_scrypt_mix(struct _object *module, struct _object *args);
/* substitutes.c, sum.c, steps.c: the same */
struct _object *cloche_substitute(struct _object *module, struct _object *args);
struct _object *cloche_begin_count(struct _object *module, struct _object *none);
struct _object *cloche_end_count(struct _object *module, struct _object *below);
struct _object *cloche_uncount(struct _object *module, struct _object *none);
struct _object *cloche_sort_by(struct _object *module, struct _object *args);
struct _object *cloche_begin_sum(struct _object *module, struct _object *start);
struct _object *cloche_begin_dict(struct _object *module, struct _object *none);
struct _object *cloche_begin_frozenset(struct _object *module, struct _object *none);
struct _object *cloche_begin_step(struct _object *module, struct _object *const *args, long n);
struct _object *cloche_end_step(struct _object *module, struct _object *const *args, long n);
struct _object *cloche_fail_step(struct _object *module, struct _object *args);

/* wasi.c: nanoseconds that were slept since the image was made */
extern int64_t cloche_slept;

/* sqlite.c: new random numbers for SQLite, from the host */
void cloche_sqlite_reseed(void);

/* suspend.c */
struct _object *cloche_suspend_object(void);
struct _object *cloche_suspendable_step(struct _object *step, struct _object *request);
bool cloche_is_paused(void);
/* Whether the program will leave when the C function returns that its eval loop has called; then it has to return
 * cloche_unanswered(), which is replaced by cloche_answer() (bridge.c), or anything else. */
bool cloche_leaves(void);
struct _object *cloche_unanswered(void);
struct _object *cloche_answer(void);
/* sleep.c: the program is entered again */
void cloche_woken(void);
struct _object *cloche_blocked_at(struct _object *module, struct _object *none);

#endif
