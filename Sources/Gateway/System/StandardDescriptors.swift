import Glibc

/// The standard input, output and error: descriptors 0 to 2.
package enum StandardDescriptors {
    /// Opens each of descriptors 0 to 2 that the parent process left closed. Otherwise a database or a socket could get
    /// one of these numbers, and output would be written into it. Writing to a descriptor opened here fails with an
    /// error.
    package static func fill() {
        for number in Int32(0)...2 where fcntl(number, F_GETFD) < 0 {
            // open returns the lowest free number, which is `number`.
            _ = unsafe open("/dev/null", O_RDONLY)
        }
    }
}
