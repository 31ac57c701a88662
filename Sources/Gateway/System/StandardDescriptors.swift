import Glibc

package enum StandardDescriptors {
    /// Opens those of the descriptors 0 to 2 that the parent process left closed. Otherwise a database or a socket
    /// could get one of these numbers, and output would be written into it. Writing to a descriptor that is opened here
    /// fails.
    package static func fill() {
        for number in Int32(0)...2 where fcntl(number, F_GETFD) < 0 {
            // open(2) returns the lowest free number, which here is `number`.
            _ = unsafe open("/dev/null", O_RDONLY)
        }
    }
}
