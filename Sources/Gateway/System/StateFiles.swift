import Glibc

/// How the files of a state look from outside: the database, and the -wal and -shm files that SQLite keeps beside it while
/// it is open (https://sqlite.org/walformat.html).
///
/// They are looked at by stat(2) alone. Opening one and closing it again would free the locks that SQLite has on it (fcntl(2)).
struct StateFiles: Equatable {
    /// A file at its path.
    struct File: Equatable {
        var device: UInt64
        var number: UInt64
        var mode: UInt32
        var bytes: Int64
        /// When it was last written, in nanoseconds since 1970.
        var writtenAt: Int64

        func isSameFile(as other: File) -> Bool { device == other.device && number == other.number }
    }

    /// Each of the files; nil where there is none that we may see.
    var database: File?
    var wal: File?
    var sharedMemory: File?

    /// Whether a store that was opened when they were `opened` still reads what others write.
    ///
    /// SQLite never replaces a file of a database that is open: somebody else has, and whoever goes on with the former
    /// ones misses commits, and overwrites some.
    func areStill(_ opened: StateFiles) -> Bool {
        Self.isSame(database, opened.database) && Self.isSame(wal, opened.wal)
            && Self.isSame(sharedMemory, opened.sharedMemory)
    }

    /// Whether something was written since `former` that is no mere commit, which only makes the -wal file longer. It may be
    /// SQLite that moves commits into the database, or damage.
    func mayBeDamaged(since former: StateFiles) -> Bool {
        database != former.database || (wal?.bytes ?? 0) < (former.wal?.bytes ?? 0)
    }

    private static func isSame(_ file: File?, _ opened: File?) -> Bool {
        // What was not there yet has come by itself.
        guard let opened else { return true }
        return file?.isSameFile(as: opened) ?? false
    }
}

extension StateFiles {
    /// Those of the database at a path.
    init(path: String) {
        database = File(path: path)
        wal = File(path: path + "-wal")
        sharedMemory = File(path: path + "-shm")
    }
}

extension StateFiles.File {
    fileprivate init?(path: String) {
        var status = stat()
        // A structure of the right kind, which is read only when the call has filled it.
        guard unsafe stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        number = UInt64(status.st_ino)
        mode = status.st_mode
        bytes = Int64(status.st_size)
        writtenAt = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    }
}
