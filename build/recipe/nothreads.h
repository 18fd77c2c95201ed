/* Forced into C++ whose authors count on threads: the library of this target has none, nor their names. */
#pragma once
#ifdef __cplusplus
#include <__config>
#if !_LIBCPP_HAS_THREADS
#include <condition_variable>
#include <mutex>
#include <thread>

namespace std {
struct mutex {
    void lock() {}
    void unlock() {}
    bool try_lock() { return true; }
};
struct recursive_mutex : mutex {};
struct condition_variable {
    template <class Lock> void wait(Lock &) {}
    template <class Lock, class Condition> void wait(Lock &, Condition) {}
    void notify_one() {}
    void notify_all() {}
};
struct thread {
    template <class Function, class... Arguments> explicit thread(Function &&, Arguments &&...) { __builtin_trap(); }
    void join() {}
    static unsigned hardware_concurrency() { return 1; }
};
}  // namespace std
#endif
#endif
