import Glibc

package enum StandardDescriptors {
    /// Opens /dev/null for each of the descriptors 0 to 2 that the parent process left closed. Otherwise a database or
    /// a socket could get such a number, and output would be written into the database or socket. /dev/null is opened
    /// for reading only, so writing to the descriptor fails.
    package static func fill() {
        for number in Int32(0)...2 where fcntl(number, F_GETFD) < 0 {
            // open(2) returns the lowest free number, which here is `number`.
            _ = unsafe open("/dev/null", O_RDONLY)
        }
    }
}
