import GRDB
import Glibc
import PrivateFiles
import State
import SystemPackage

/// The state's file in the file system.
enum StateFile {
    /// Makes the directory and a database without tables, readable by the owner alone from the first instant; leaves what is
    /// there. It appears with its first page in it, so that an empty file is one that was emptied.
    ///
    /// To be called by one process at a time.
    static func create(_ path: String, _ configuration: GRDB.Configuration) throws {
        do {
            let file = FilePath(path)
            try PrivateDirectory.make(file.removingLastComponent())
            if identity(path) == nil {
                let new = FilePath(path + ".new")
                // SQLite gives its -wal and -shm files the mode of this one.
                try FileDescriptor.open(
                    new, .readWrite, options: [.create, .truncate, .closeOnExec], permissions: [.ownerReadWrite]
                ).close()
                // What an earlier try has left beside it is another file's.
                try DatabaseQueue(path: new.string, configuration: configuration).close()
                // SQLite says nothing when it can't fold its -wal file in.
                guard identity(new.string + "-wal") == nil else { throw Errno.ioError }
                try rename(new, to: file)
            }
            let mode = try file.stat().permissions
            if let exposure = exposure(mode, path) { throw StateError.failed(path: path, reason: exposure) }
        } catch let error as Errno {
            throw StateError.failed(path: path, reason: "\(error)")
        }
    }

    private static func rename(_ old: FilePath, to new: FilePath) throws(Errno) {
        // Both paths are lent to the call alone.
        let result = unsafe old.withPlatformString { old in
            unsafe new.withPlatformString { new in unsafe Glibc.rename(old, new) }
        }
        guard result == 0 else { throw Errno(rawValue: errno) }
    }

    /// What to do about a file that others than its owner can read or write; nil when they can't.
    static func exposure(_ mode: FilePermissions, _ path: String) -> String? {
        guard !mode.isDisjoint(with: .groupReadWriteExecute.union(.otherReadWriteExecute)) else { return nil }
        return "others can read or write it, and keys are in it; run: chmod 600 '\(path)'"
    }

    /// What to open for reading so that SQLite makes no file; nil when there is no state.
    static func addressForReading(_ path: String) throws -> String? {
        guard try exists(path) else { return nil }
        // With a -wal file the database is in use, and its -shm file is there too. Without, nobody has it open: as
        // "immutable" SQLite reads the file alone, where otherwise it would make both.
        return try exists(path + "-wal") ? path : address(path, "immutable=1")
    }

    /// Refuses what SQLite would misjudge: a file that was emptied, which it takes for a new database, so that it deletes the
    /// -wal file with the latest commits in it; and one that we may no longer open, which it uses through a descriptor that
    /// it has kept.
    static func refuseMisjudged(_ path: String) throws {
        guard identity(path) != nil else { return }
        if try FilePath(path).stat().size == 0 {
            throw StateError.unreadable(path: path, reason: "the file is empty (to begin with nothing, remove it)")
        }
        if unsafe access(path, R_OK) != 0 {
            throw StateError.failed(path: path, reason: "\(Errno(rawValue: errno))")
        }
    }

    /// A file, told apart from another one that takes its place.
    struct Identity: Equatable {
        let device: UInt64
        let inode: UInt64
    }

    /// Which file is at a path; nil when there is none that we may see.
    static func identity(_ path: String) -> Identity? {
        (try? FilePath(path).stat()).map {
            Identity(device: UInt64($0.rawValue.st_dev), inode: UInt64($0.rawValue.st_ino))
        }
    }

    /// The path as a URI with a parameter.
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

    /// The path as it stands in a URI (https://sqlite.org/uri.html).
    private static func escaped(_ path: String) -> String {
        path.utf8.reduce(into: "") { result, byte in
            let isPlain = byte > 0x20 && byte < 0x7F && !"%?#".utf8.contains(byte)
            let digits = String(byte, radix: 16, uppercase: true)
            result += isPlain ? String(UnicodeScalar(byte)) : "%\(digits.count == 1 ? "0" : "")\(digits)"
        }
    }
}
