/* time.sleep(), which leaves the program as a tool call does where the host waits for other programs meanwhile. Takes
 * the place of libc's, which comes to the same in the end (wasi.c). */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "cloche.h"

static bool asleep;
static int64_t began;

static int64_t nanoseconds_of(const struct timespec *time) {
    int64_t result;
    if (__builtin_mul_overflow((int64_t)time->tv_sec, INT64_C(1000000000), &result)) return INT64_MAX;
    return __builtin_add_overflow(result, (int64_t)time->tv_nsec, &result) ? INT64_MAX : result;
}

/* The bridge's SLEEP frame: [4, seconds] in msgpack. */
static void sleep_for(int64_t nanoseconds) {
    uint8_t frame[11] = {0x92, 0x04, 0xcb}, reply[64];
    double seconds = (double)nanoseconds / 1e9;
    uint64_t bits;
    memcpy(&bits, &seconds, sizeof bits);
    for (int i = 0; i < 8; i++) frame[3 + i] = (uint8_t)(bits >> (56 - 8 * i));
    began = host_clock(1);
    if (host_call(frame, sizeof frame, reply, sizeof reply) == NOT_YET) {
        asleep = cloche_leaves();
        if (asleep) return;
        host_call(AT_HOST(STAYED_AWAKE), 0, reply, sizeof reply);
    }
    cloche_slept += host_clock(1) - began;
}

void cloche_woken(void) {
    if (!asleep) return;
    uint8_t reply[64];
    asleep = false;
    host_call(AT_HOST(SLEPT), 0, reply, sizeof reply);
    cloche_slept += host_clock(1) - began;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *wanted, struct timespec *left) {
    (void)left;
    if (wanted->tv_nsec < 0 || wanted->tv_nsec >= 1000000000) return EINVAL;
    int64_t until = nanoseconds_of(wanted);
    if (flags & TIMER_ABSTIME) until -= host_clock(clock == CLOCK_REALTIME ? 0 : 1);
    sleep_for(until > 0 ? until : 0);
    return 0;
}
