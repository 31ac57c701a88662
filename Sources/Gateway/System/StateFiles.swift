import Glibc

/// The identity and size of a state's files: the database, and the -wal and -shm files that SQLite keeps beside it
/// while the database is open (https://sqlite.org/walformat.html).
///
/// The files are read with stat(2) only. Opening and closing a file would release the locks that SQLite holds on it
/// (fcntl(2)).
struct StateFiles: Equatable {
    /// The stat(2) values that tell whether a file is the same file and unchanged.
    struct File: Equatable {
        var device: UInt64
        var number: UInt64
        var mode: UInt32
        var bytes: Int64
        /// The time of the last write, in nanoseconds since 1970.
        var writtenAt: Int64

        func isSameFile(as other: File) -> Bool { device == other.device && number == other.number }
    }

    /// The three files; nil for a file that does not exist or is not accessible.
    var database: File?
    var wal: File?
    var sharedMemory: File?

    /// Whether these are still the files of `opened`, which a store was opened with. If not, the store no longer sees
    /// what other processes write.
    ///
    /// SQLite never replaces a file of an open database, so another program did. A process that keeps using the old
    /// files misses commits, and may overwrite some.
    func areStill(_ opened: StateFiles) -> Bool {
        Self.isSame(database, opened.database) && Self.isSame(wal, opened.wal)
            && Self.isSame(sharedMemory, opened.sharedMemory)
    }

    /// Whether the files changed since `former` in a way that a plain commit does not explain, since a commit only
    /// makes the -wal file longer. The cause may be damage, or SQLite moving commits into the database.
    func mayBeDamaged(since former: StateFiles) -> Bool {
        database != former.database || (wal?.bytes ?? 0) < (former.wal?.bytes ?? 0)
    }

    private static func isSame(_ file: File?, _ opened: File?) -> Bool {
        // A file that did not exist when the store was opened may have been created since.
        guard let opened else { return true }
        return file?.isSameFile(as: opened) ?? false
    }
}

extension StateFiles {
    /// Reads the stat(2) values of the database at `path` and of the two files beside it.
    init(path: String) {
        database = File(path: path)
        wal = File(path: path + "-wal")
        sharedMemory = File(path: path + "-shm")
    }
}

extension StateFiles.File {
    fileprivate init?(path: String) {
        var status = stat()
        // `status` is a stat structure, and it is read only after the call has filled it.
        guard unsafe stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        number = UInt64(status.st_ino)
        mode = status.st_mode
        bytes = Int64(status.st_size)
        writtenAt = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    }
}
