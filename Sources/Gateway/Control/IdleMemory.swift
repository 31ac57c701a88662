import CLinux

/// Decides when memory that connections have left behind goes back to the system.
///
/// glibc keeps what was freed below anything that is still in use, for the next connections. After a crowd has gone that is
/// far too much: 140 MiB for 10,000 connections.
struct IdleMemory {
    /// When fewer than so many have gone, what they leave is not worth looking for.
    private static let leastGone = 1000

    /// A change of so many hosts and certificates leaves as much behind, when it is in force.
    static let largeChange = 1000

    private var most = 0
    private var last = 0

    /// Takes note of how many connections are open, once a second. True when many have gone, an eighth at least, and their
    /// number falls no more.
    mutating func shouldReturn(connections: Int) -> Bool {
        defer { last = connections }
        most = max(most, connections)
        guard connections >= last, most - connections >= max(Self.leastGone, most / 8) else { return false }
        most = connections
        return true
    }

    /// Gives whole pages that are free back (malloc_trim(3)). Threads that allocate meanwhile wait for some milliseconds.
    static func giveBack() { _ = malloc_trim(0) }
}
