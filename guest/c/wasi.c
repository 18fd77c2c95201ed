/* The rest of WASI: arguments, clocks, entropy, waiting. See memfs.c for how the names take
 * the imports' place. */
#include <stdint.h>
#include <string.h>
#include <wasi/api.h>

#include "cloche.h"

#define WASI(name) int32_t __imported_wasi_snapshot_preview1_##name
#define AT(type, address) ((type *)(uintptr_t)(uint32_t)(address))

WASI(args_get)(int32_t argv, int32_t buffer) {
    (void)argv, (void)buffer;
    return 0;
}

WASI(args_sizes_get)(int32_t count, int32_t size) {
    *AT(int32_t, count) = *AT(int32_t, size) = 0;
    return 0;
}

WASI(environ_get)(int32_t environment, int32_t buffer) {
    (void)environment, (void)buffer;
    return 0;
}

WASI(environ_sizes_get)(int32_t count, int32_t size) {
    *AT(int32_t, count) = *AT(int32_t, size) = 0;
    return 0;
}

WASI(clock_res_get)(int32_t id, int32_t result) {
    (void)id;
    *AT(__wasi_timestamp_t, result) = 1000;
    return 0;
}

WASI(clock_time_get)(int32_t id, int64_t precision, int32_t result) {
    (void)precision;
    *AT(__wasi_timestamp_t, result) = (uint64_t)host_clock(id == (int32_t)__WASI_CLOCKID_REALTIME ? 0 : 1);
    return 0;
}

WASI(random_get)(int32_t buffer, int32_t n) {
    host_entropy(AT(void, buffer), n);
    return 0;
}

WASI(sched_yield)(void) { return 0; }

_Noreturn void __imported_wasi_snapshot_preview1_proc_exit(int32_t code) {
    (void)code;
    __builtin_trap(); /* os._exit() and abort(): the run ends, the host says GuestCrashed */
}

WASI(proc_raise)(int32_t signal) {
    (void)signal;
    __builtin_trap();
}

/* ---- waiting: the bridge's SLEEP frame, [4, seconds] in msgpack ---- */

int64_t cloche_slept;

static void sleep_nanoseconds(uint64_t nanoseconds) {
    int64_t began = host_clock(1);
    uint8_t frame[11] = {0x92, 0x04, 0xcb}, reply[64];
    double seconds = (double)nanoseconds / 1e9;
    uint64_t bits;
    memcpy(&bits, &seconds, sizeof bits);
    for (int i = 0; i < 8; i++) frame[3 + i] = (uint8_t)(bits >> (56 - 8 * i));
    host_call(frame, sizeof frame, reply, sizeof reply);
    cloche_slept += host_clock(1) - began;
}

static uint64_t delay_of(const __wasi_subscription_clock_t *clock) {
    if (!(clock->flags & __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME)) return clock->timeout;
    uint64_t now = (uint64_t)host_clock(clock->id == __WASI_CLOCKID_REALTIME ? 0 : 1);
    return clock->timeout > now ? clock->timeout - now : 0;
}

/* Memory files are always ready; with no file to report, the shortest clock is slept for. */
WASI(poll_oneoff)(int32_t in, int32_t out, int32_t count, int32_t result) {
    const __wasi_subscription_t *asked = AT(const __wasi_subscription_t, in);
    __wasi_event_t *events = AT(__wasi_event_t, out);
    int32_t ready = 0, shortest = -1;
    uint64_t delay = UINT64_MAX;
    for (int32_t i = 0; i < count; i++) {
        if (asked[i].u.tag != __WASI_EVENTTYPE_CLOCK) {
            events[ready++] = (__wasi_event_t){.userdata = asked[i].userdata, .type = asked[i].u.tag};
        } else if (delay_of(&asked[i].u.u.clock) < delay) {
            delay = delay_of(&asked[i].u.u.clock);
            shortest = i;
        }
    }
    if (!ready && shortest >= 0) {
        sleep_nanoseconds(delay);
        events[ready++] = (__wasi_event_t){.userdata = asked[shortest].userdata, .type = __WASI_EVENTTYPE_CLOCK};
    }
    *AT(__wasi_size_t, result) = (__wasi_size_t)ready;
    return ready ? 0 : __WASI_ERRNO_INVAL;
}

/* ---- sockets: there are none ---- */

WASI(sock_accept)(int32_t fd, int32_t flags, int32_t result) {
    (void)fd, (void)flags, (void)result;
    return __WASI_ERRNO_NOTSOCK;
}

WASI(sock_recv)(int32_t fd, int32_t data, int32_t n, int32_t flags, int32_t size, int32_t out) {
    (void)fd, (void)data, (void)n, (void)flags, (void)size, (void)out;
    return __WASI_ERRNO_NOTSOCK;
}

WASI(sock_send)(int32_t fd, int32_t data, int32_t n, int32_t flags, int32_t size) {
    (void)fd, (void)data, (void)n, (void)flags, (void)size;
    return __WASI_ERRNO_NOTSOCK;
}

WASI(sock_shutdown)(int32_t fd, int32_t how) {
    (void)fd, (void)how;
    return __WASI_ERRNO_NOTSOCK;
}
