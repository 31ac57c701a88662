import Glibc

/// The limit on the process's open descriptors.
package enum DescriptorLimit {
    /// Raises the limit to the highest value that the process may set. Each client connection takes one descriptor, or
    /// two when a request goes to an upstream. If raising fails, the old limit remains.
    package static func raise() {
        guard var limit else { return }
        limit.rlim_cur = limit.rlim_max
        // `setrlimit` only reads `limit`.
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// The soft and the hard limit (getrlimit(2)); nil if they can't be read.
    static var limit: rlimit? {
        var limit = rlimit()
        // `getrlimit` fills `limit`, which is read only when the call succeeds.
        return unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? limit : nil
    }

    /// How many descriptors the process may have open: the soft limit, or 1024 if it can't be read.
    static var current: Int { limit.map { Int(clamping: $0.rlim_cur) } ?? 1024 }
}
