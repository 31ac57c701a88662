import PrivateFiles
import State
import SystemPackage

/// The state's file in the file system.
enum StateFile {
    /// Makes the directory and an empty file, readable by the owner alone from the first instant; leaves what is there.
    static func create(_ path: String) throws {
        do {
            let file = FilePath(path)
            try PrivateDirectory.make(file.removingLastComponent())
            // SQLite gives its -wal and -shm files the mode of this one.
            let descriptor = try FileDescriptor.open(
                file, .readWrite, options: [.create, .closeOnExec], permissions: [.ownerReadWrite])
            let mode = try descriptor.closeAfter { try descriptor.stat().permissions }
            if let exposure = exposure(mode, path) { throw StateError.failed(path: path, reason: exposure) }
        } catch let error as Errno {
            throw StateError.failed(path: path, reason: "\(error)")
        }
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
