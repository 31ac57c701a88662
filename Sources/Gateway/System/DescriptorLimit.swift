import Glibc

/// The limit on the process's open descriptors.
package enum DescriptorLimit {
    /// Raises the limit to the highest value that the process may set. Each client connection takes one descriptor, or
    /// two when a request goes to an upstream. If raising fails, the old limit remains.
    package static func raise() {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
