import Glibc

/// The identity and size of a state's files: the database, and the -wal and -shm files that SQLite keeps beside an open
/// database (https://sqlite.org/walformat.html).
///
/// The values come from stat(2). The files are not opened, since closing a file would release the locks that SQLite
/// holds on it in this process (fcntl(2)).
struct StateFiles: Equatable {
    /// The values of stat(2) that show whether a file is still the same file and unchanged.
    struct File: Equatable {
        var device: UInt64
        var number: UInt64
        var mode: UInt32
        var bytes: Int64
        /// The time of the last write, in nanoseconds since 1970.
        var writtenAt: Int64

        /// Whether the file is a regular file without bytes. The mode is checked too, since pipes and devices also have
        /// the size 0.
        var isEmpty: Bool { bytes == 0 && mode & UInt32(S_IFMT) == UInt32(S_IFREG) }

        func isSameFile(as other: File) -> Bool { device == other.device && number == other.number }
    }

    /// Each of the three files is nil if it does not exist or stat(2) fails.
    var database: File?
    var wal: File?
    var sharedMemory: File?

    /// Whether these are still the files that a store has opened. Only another program can have replaced them, since
    /// SQLite never replaces the files of an open database.
    ///
    /// A store with replaced files no longer sees what other processes write. A process that continues to use such a
    /// store misses commits, and may overwrite some.
    func areStill(_ opened: StateFiles) -> Bool {
        Self.isSame(database, opened.database) && Self.isSame(wal, opened.wal)
            && Self.isSame(sharedMemory, opened.sharedMemory)
    }

    /// Whether anything but a plain commit has changed the files since `former`. A commit writes only to the -wal file
    /// and never shortens it. Any other change is damage, or SQLite has moved commits into the database file.
    func mayBeDamaged(since former: StateFiles) -> Bool {
        database != former.database || (wal?.bytes ?? 0) < (former.wal?.bytes ?? 0)
    }

    private static func isSame(_ file: File?, _ opened: File?) -> Bool {
        // A file that did not exist when the store was opened may exist now.
        guard let opened else { return true }
        return file?.isSameFile(as: opened) ?? false
    }
}

extension StateFiles {
    /// `path` leads to the database. The -wal and -shm files are beside it.
    init(path: String) {
        database = File(path: path)
        wal = File(path: path + "-wal")
        sharedMemory = File(path: path + "-shm")
    }
}

extension StateFiles.File {
    fileprivate init?(path: String) {
        var status = stat()
        // This is safe, since `status` is read only after stat(2) has filled it.
        guard unsafe stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        number = UInt64(status.st_ino)
        mode = status.st_mode
        bytes = Int64(status.st_size)
        writtenAt = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    }
}
