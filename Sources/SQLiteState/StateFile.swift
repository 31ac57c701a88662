import GRDB
import Glibc
import PrivateFiles
import State
import SystemPackage

/// Creates and checks the state's files on disk, and makes the addresses by which SQLite opens them.
enum StateFile {
    /// Creates the directory and a database without tables. From the first moment only the owner can read them. An
    /// existing directory or file is left alone. The file appears with its first page already written. So an empty file
    /// means that another program has emptied it.
    ///
    /// Only one process at a time may call this function.
    static func create(_ path: String, _ configuration: GRDB.Configuration) throws {
        try refuseOthers(path)
        do {
            let file = FilePath(path)
            try PrivateDirectory.make(file.removingLastComponent())
            if identity(path) == nil {
                let new = FilePath(path + ".new")
                // SQLite creates its -wal and -shm files with the mode of this file.
                try FileDescriptor.open(
                    new, .readWrite, options: [.create, .truncate, .closeOnExec], permissions: [.ownerReadWrite]
                ).close()
                // If the database file is empty, SQLite deletes a -wal file that an earlier try has left.
                try DatabaseQueue(path: new.string, configuration: configuration).close()
                // SQLite reports no error when it can't checkpoint its -wal file.
                guard identity(new.string + "-wal") == nil else { throw Errno.ioError }
                try rename(new, to: file)
            }
            let mode = try file.stat().permissions
            if let exposure = PrivateFile.exposure(mode, path) { throw StateError.failed(path: path, reason: exposure) }
        } catch let error as Errno {
            throw StateError.failed(path: path, reason: "\(error)")
        }
    }

    private static func rename(_ old: FilePath, to new: FilePath) throws(Errno) {
        // This is safe, since the call uses both paths only while it runs.
        let result = unsafe old.withPlatformString { old in
            unsafe new.withPlatformString { new in unsafe Glibc.rename(old, new) }
        }
        guard result == 0 else { throw Errno(rawValue: errno) }
    }

    /// The address by which SQLite reads the state without creating files; nil when there is no state.
    static func addressForReading(_ path: String) throws -> String? {
        try refuseOthers(path)
        guard try exists(path) else { return nil }
        // If there is a -wal file, a process uses the database, and there is a -shm file too. Otherwise no process has
        // the database open. Then the parameter `immutable` lets SQLite read the database without creating a -wal or
        // -shm file.
        return try exists(path + "-wal") ? path : address(path, "immutable=1")
    }

    /// Refuses a path that leads to a directory, a pipe or another file that is not regular. SQLite would report an I/O
    /// error for a directory, and wait for a writer at a pipe.
    static func refuseOthers(_ path: String) throws(StateError) {
        guard let type = try? FilePath(path).stat().type, type != .regular else { return }
        throw .notFile(path: path, isDirectory: type == .directory)
    }

    /// Whether a file of any kind is at the path. Throws if this process can't tell, or if a regular file stands in the
    /// path where a directory must be.
    static func isPresent(_ path: String) throws -> Bool {
        do {
            _ = try FilePath(path).stat()
            return true
        } catch Errno.noSuchFileOrDirectory {
            return false
        } catch {
            let obstacle =
                error == .notDirectory ? PrivateDirectory.obstacle(at: FilePath(path).removingLastComponent()) : nil
            throw StateError.failed(path: path, reason: obstacle ?? "\(error)")
        }
    }

    /// Refuses two kinds of files that SQLite would misjudge. SQLite takes an emptied file for a new database, and
    /// would delete the -wal file with the latest commits. SQLite would also continue to use a file that this process
    /// may no longer open, through a descriptor that SQLite has kept.
    static func refuseMisjudged(_ path: String) throws {
        guard identity(path) != nil else { return }
        if try FilePath(path).stat().size == 0 {
            throw StateError.unreadable(path: path, reason: "the file is empty (to begin with nothing, remove it)")
        }
        if unsafe access(path, R_OK) != 0 {
            throw StateError.failed(path: path, reason: "\(Errno(rawValue: errno))")
        }
    }

    /// The identity of the file at a path; nil when there is no file, or this process can't see it.
    static func identity(_ path: String) -> StateFileID? {
        (try? FilePath(path).stat()).map {
            StateFileID(device: UInt64($0.rawValue.st_dev), inode: UInt64($0.rawValue.st_ino))
        }
    }

    /// The path as a URI for SQLite, with a query parameter such as `mode=rw`.
    static func address(_ path: String, _ parameter: String) -> String { "file:\(escaped(path))?\(parameter)" }

    private static func exists(_ path: String) throws -> Bool {
        do {
            try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec).close()
            return true
        } catch Errno.noSuchFileOrDirectory, Errno.notDirectory {
            return false
        } catch let error as Errno {
            throw StateError.unreadable(path: path, reason: "\(error)")
        }
    }

    /// The path as part of a URI (https://sqlite.org/uri.html).
    private static func escaped(_ path: String) -> String {
        path.utf8.reduce(into: "") { result, byte in
            let isPlain = byte > 0x20 && byte < 0x7F && !"%?#".utf8.contains(byte)
            let digits = String(byte, radix: 16, uppercase: true)
            result += isPlain ? String(UnicodeScalar(byte)) : "%\(digits.count == 1 ? "0" : "")\(digits)"
        }
    }
}
