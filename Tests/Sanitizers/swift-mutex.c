// Makes ThreadSanitizer see locks of Swift's Mutex: scripts/test preloads this library under that sanitizer.
//
// A free Mutex is locked and unlocked in the caller's code, which the sanitizer sees. A thread waits for a locked Mutex within
// libswiftSynchronization.so, which is not built with the sanitizer. Without these functions such a thread seems not to have
// locked it, so that accesses protected by the lock are reported as races. They replace the library's functions and call them.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define swiftcall __attribute__((swiftcall))
#define self_parameter __attribute__((swift_context)) void *self

// Functions of the sanitizer's runtime; null in a program without one.
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
