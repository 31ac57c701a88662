import Glibc

package enum Pause {
    /// Lets the calling thread wait, whatever signals arrive.
    @Sendable package static func wait(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        var wanted = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
        var left = timespec()
        // If a signal interrupts nanosleep, `left` contains the rest of the time.
        while unsafe nanosleep(&wanted, &left) != 0, errno == EINTR { wanted = left }
    }
}
