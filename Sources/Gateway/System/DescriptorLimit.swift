import Glibc

/// The limit on the process's open descriptors.
package enum DescriptorLimit {
    /// Raises the limit to the highest value that the process may set. Each client connection takes one descriptor, or
    /// two when a request goes to an upstream. If raising fails, the old limit remains.
    package static func raise() {
        guard var limit else { return }
        limit.rlim_cur = limit.rlim_max
        // The system reads one structure of this kind.
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// What the process may have, and what it may raise that to (getrlimit(2)).
    static var limit: rlimit? {
        var limit = rlimit()
        // The system writes one structure of this kind.
        return unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? limit : nil
    }

    /// How many descriptors the process may have open.
    static var current: Int { limit.map { Int(clamping: $0.rlim_cur) } ?? 1024 }
}
