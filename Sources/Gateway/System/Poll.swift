import Glibc

/// Waiting for descriptors by poll(2).
enum Poll {
    /// Waits until a descriptor is ready, a signal arrives or the time is over. A negative time means no limit.
    ///
    /// - Returns: How many descriptors are ready; -1 when a signal arrived.
    @discardableResult
    static func wait(for entries: inout [pollfd], milliseconds: Int32) -> Int32 {
        // poll(2) writes only to the array's entries, whose count it is given.
        unsafe poll(&entries, nfds_t(entries.count), milliseconds)
    }
}
