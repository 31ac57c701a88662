import CLinux

/// Decides when memory that connections have freed goes back to the system.
///
/// glibc keeps free memory that lies below a block in use, for later allocations. After many connections have closed,
/// that is too much: 140 MiB for 10,000 connections.
struct IdleMemory {
    /// The smallest number of closed connections whose memory is worth returning.
    private static let leastGone = 1000

    /// The smallest number of changed hosts and certificates whose memory is worth returning.
    static let largeChange = 1000

    private var most = 0
    private var last = 0

    /// Called once a second with the number of open connections. Returns true if the number has stopped falling, and at
    /// least `leastGone` connections and an eighth of the peak have closed.
    mutating func shouldReturn(connections: Int) -> Bool {
        defer { last = connections }
        most = max(most, connections)
        guard connections >= last, most - connections >= max(Self.leastGone, most / 8) else { return false }
        most = connections
        return true
    }

    /// Returns free whole pages to the system (malloc_trim(3)). Threads that allocate memory at the same time wait for
    /// some milliseconds.
    static func giveBack() { _ = malloc_trim(0) }
}
