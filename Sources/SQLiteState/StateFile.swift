import Glibc
import State
import SystemPackage

/// The state's file in the file system.
enum StateFile {
    /// Makes the directory and an empty file, readable by the owner alone from the first instant; leaves what is there.
    static func create(_ path: String) throws {
        do {
            let file = FilePath(path)
            try makeDirectory(file.removingLastComponent())
            // SQLite gives its -wal and -shm files the mode of this one.
            try FileDescriptor.open(
                file, .readWrite, options: [.create, .closeOnExec], permissions: [.ownerReadWrite]
            ).close()
        } catch let error as Errno {
            throw StateError.failed(path: path, reason: "\(error)")
        }
    }

    /// Does something with the file's directory locked, so that of two first applies one makes the tables.
    static func exclusively<Result>(besides path: String, _ body: () throws -> Result) throws -> Result {
        let directory = FilePath(path).removingLastComponent()
        let folder = try FileDescriptor.open(
            directory.isEmpty ? "." : directory, .readOnly, options: [.closeOnExec, .directory])
        return try folder.closeAfter {
            while flock(folder.rawValue, LOCK_EX) != 0 {
                guard errno == EINTR else { throw Errno(rawValue: errno) }
            }
            return try body()
        }
    }

    private static func makeDirectory(_ path: FilePath) throws {
        guard !path.isEmpty, path != "." else { return }
        // The C library's own, since the package has no call for it.
        if unsafe path.withPlatformString({ unsafe mkdir($0, 0o700) }) == 0 { return }
        switch Errno(rawValue: errno) {
        case .fileExists: return
        case .noSuchFileOrDirectory where path.removingLastComponent() != path:
            try makeDirectory(path.removingLastComponent())
            if unsafe path.withPlatformString({ unsafe mkdir($0, 0o700) }) != 0, errno != EEXIST {
                throw Errno(rawValue: errno)
            }
        case let error: throw error
        }
    }

    /// What to open for reading so that SQLite makes no file; nil when there is no state.
    static func addressForReading(_ path: String) throws -> String? {
        guard try exists(path) else { return nil }
        // With a -wal file the database is in use, and its -shm file is there too. Without, nobody has it open: as
        // "immutable" SQLite reads the file alone, where otherwise it would make both.
        return try exists(path + "-wal") ? path : "file:\(escaped(path))?immutable=1"
    }

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
