import Glibc

package enum DescriptorLimit {
    /// Raises the limit to the highest value that the process may set. A client connection uses a descriptor, and a
    /// second descriptor while an upstream answers. If raising fails, the old limit remains.
    package static func raise() {
        guard var limit else { return }
        limit.rlim_cur = limit.rlim_max
        // This is safe, since `setrlimit` only reads `limit`.
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// The soft and the hard limit (getrlimit(2)). Nil if they can't be read.
    static var limit: rlimit? {
        var limit = rlimit()
        // This is safe, since `limit` is read only after `getrlimit` has filled it.
        return unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? limit : nil
    }

    /// How many descriptors the process may have open (the soft limit). 1024 if the limit can't be read.
    static var current: Int { limit.map { Int(clamping: $0.rlim_cur) } ?? 1024 }
}
