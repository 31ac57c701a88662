// Tells ThreadSanitizer of Swift's Mutex, for runs under it: scripts/test preloads this.
//
// A Mutex that is free is taken and given back in the caller's code, which the sanitizer sees. One that is not free is waited
// for within libswiftSynchronization.so, which is not built with the sanitizer: without these functions, who waited seems to
// have taken nothing, and each access behind the lock a race. They stand before the library's and call them.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define swiftcall __attribute__((swiftcall))
#define self_parameter __attribute__((swift_context)) void *self

// Of the sanitizer's runtime, where the program has one.
__attribute__((weak)) void __tsan_acquire(void *address);
__attribute__((weak)) void __tsan_release(void *address);

// Synchronization._MutexHandle._lockSlow(UInt32) -> ()
swiftcall void wait_and_lock(uint32_t thread, self_parameter) __asm__("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");

swiftcall void wait_and_lock(uint32_t thread, self_parameter) {
    static swiftcall void (*original)(uint32_t, self_parameter);
    if (!original) original = dlsym(RTLD_NEXT, "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
    original(thread, self);
    if (__tsan_acquire) __tsan_acquire(self);
}

// Synchronization._MutexHandle._unlockSlow() -> ()
swiftcall void unlock_and_wake(self_parameter) __asm__("$s15Synchronization12_MutexHandleV11_unlockSlowyyF");

swiftcall void unlock_and_wake(self_parameter) {
    static swiftcall void (*original)(self_parameter);
    if (!original) original = dlsym(RTLD_NEXT, "$s15Synchronization12_MutexHandleV11_unlockSlowyyF");
    if (__tsan_release) __tsan_release(self);
    original(self);
}
