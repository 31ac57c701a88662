import Glibc

/// Waiting for descriptors by poll(2).
enum Poll {
    /// Waits until a descriptor has something, a signal comes or the time is over; a negative one never is.
    ///
    /// - Returns: How many descriptors have something; -1 when a signal came.
    @discardableResult
    static func wait(for entries: inout [pollfd], milliseconds: Int32) -> Int32 {
        // The system writes to as many entries as it is told that there are.
        unsafe poll(&entries, nfds_t(entries.count), milliseconds)
    }
}
