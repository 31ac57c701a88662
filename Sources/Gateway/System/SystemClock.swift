import Glibc

/// The clocks of the system (clock_gettime(2)).
enum SystemClock {
    /// The present time of a clock, such as CLOCK_MONOTONIC.
    static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        // `clock_gettime` fills `time`.
        _ = unsafe clock_gettime(clock, &time)
        return time
    }
}
