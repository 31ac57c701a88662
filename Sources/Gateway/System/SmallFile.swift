import Glibc

/// Reads whole files of at most 1 MiB.
enum SmallFile {
    private static let limit = 1 << 20

    /// Throws EFBIG if the file is larger than 1 MiB.
    static func read(_ path: String) throws(SystemFailure) -> [UInt8] {
        // This is safe, since the path is lent only for the call.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemFailure("open") }
        defer { _ = close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= limit {
            // This is safe, since read(2) writes at most `buffer.count` bytes into `buffer`.
            let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
            guard count >= 0 else { throw SystemFailure("read") }
            if count == 0 { return bytes }
            bytes.append(contentsOf: buffer[..<count])
        }
        throw SystemFailure("read", code: EFBIG)
    }
}
