import CLinux

/// Decides when memory freed by connections is returned to the system.
///
/// glibc keeps freed memory below any block that is still in use, for new connections. After many connections have
/// closed, that is too much: 140 MiB for 10,000 connections.
struct IdleMemory {
    /// The least number of closed connections whose memory is worth returning.
    private static let leastGone = 1000

    /// The least number of changed hosts and certificates after which memory is returned.
    static let largeChange = 1000

    private var most = 0
    private var last = 0

    /// Records the number of open connections; called once a second. Returns true if the number has stopped falling,
    /// and at least `leastGone` connections and an eighth of the peak have closed.
    mutating func shouldReturn(connections: Int) -> Bool {
        defer { last = connections }
        most = max(most, connections)
        guard connections >= last, most - connections >= max(Self.leastGone, most / 8) else { return false }
        most = connections
        return true
    }

    /// Returns free whole pages to the system (malloc_trim(3)). Threads that allocate meanwhile wait for some
    /// milliseconds.
    static func giveBack() { _ = malloc_trim(0) }
}
