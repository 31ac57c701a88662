import Glibc

/// What tells a file from another that has taken its place.
struct FileIdentity: Equatable {
    private let device: UInt64
    private let number: UInt64

    /// Of the file at a path; nil when there is none.
    init?(path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        number = UInt64(status.st_ino)
    }
}
