import CLinux
import Glibc

/// Delivers signals through a descriptor (signalfd(2)) instead of signal handlers.
///
/// The signals are blocked in the calling thread, and in all threads that it starts later, since a new thread inherits
/// the blocked signals.
@safe
final class SignalDescriptor {
    let descriptor: Int32

    init(_ signals: [Int32]) throws(SystemFailure) {
        // This is safe, since each of these calls uses `set` only until it returns.
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        descriptor = unsafe signalfd(-1, &set, aegis_signalfd_flags)
        guard descriptor >= 0 else { throw SystemFailure("signalfd") }
    }

    deinit { _ = close(descriptor) }

    /// Returns the number of the next signal that has arrived, or nil if there is none.
    func next() -> Int32? {
        var info = signalfd_siginfo()
        // This is safe, since the kernel writes one whole structure or nothing.
        let count = unsafe read(descriptor, &info, MemoryLayout<signalfd_siginfo>.size)
        return count == MemoryLayout<signalfd_siginfo>.size ? Int32(info.ssi_signo) : nil
    }
}
