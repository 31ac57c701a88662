import Glibc

/// The descriptors 0 to 2.
package enum StandardDescriptors {
    /// Opens those that the parent has left closed. Otherwise a database or a socket would get one of these numbers, and be
    /// written to as the standard output or error. Writes to what is opened here fail, and say so.
    package static func fill() {
        for number in Int32(0)...2 where fcntl(number, F_GETFD) < 0 {
            // The lowest free number is this one.
            _ = unsafe open("/dev/null", O_RDONLY)
        }
    }
}
