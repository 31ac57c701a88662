import CLinux

/// Decides when memory that connections have freed goes back to the system.
///
/// glibc returns only the memory at the end of its heap to the system, and keeps the rest for later. After many
/// connections have closed, the rest is large: 140 MiB for 10,000 connections.
struct IdleMemory {
    /// The smallest number of closed connections after which memory is returned.
    private static let leastGone = 1000

    /// The smallest number of changed hosts and certificates after which memory is returned.
    static let largeChange = 1000

    private var most = 0
    private var last = 0

    /// Called once a second with the number of open connections. Returns true if the number no longer falls, and if at
    /// least `leastGone` connections and an eighth of the highest number have closed.
    mutating func shouldReturn(connections: Int) -> Bool {
        defer { last = connections }
        most = max(most, connections)
        guard connections >= last, most - connections >= max(Self.leastGone, most / 8) else { return false }
        most = connections
        return true
    }

    /// Returns all free pages to the system (malloc_trim(3)). Other threads that allocate memory wait for some
    /// milliseconds.
    static func giveBack() { _ = malloc_trim(0) }
}
