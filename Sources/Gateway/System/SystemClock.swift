import Glibc

enum SystemClock {
    /// Reads a clock of clock_gettime(2), such as CLOCK_MONOTONIC.
    static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        // This is safe, since `clock_gettime` only fills `time`.
        _ = unsafe clock_gettime(clock, &time)
        return time
    }
}
