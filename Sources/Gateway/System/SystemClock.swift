import Glibc

/// The clocks of the system (clock_gettime(2)).
enum SystemClock {
    /// What a clock shows.
    static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        // The system writes one structure of this kind.
        _ = unsafe clock_gettime(clock, &time)
        return time
    }
}
