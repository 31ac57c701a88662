import Glibc

enum Poll {
    /// Waits until a descriptor is ready, a signal arrives, or the time is over. A negative time stands for no limit.
    ///
    /// - Returns: The number of descriptors that are ready; -1 if a signal arrived.
    @discardableResult
    static func wait(for entries: inout [pollfd], milliseconds: Int32) -> Int32 {
        // This is safe, since poll(2) writes only to as many entries as the array has.
        unsafe poll(&entries, nfds_t(entries.count), milliseconds)
    }
}
