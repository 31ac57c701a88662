import Glibc
import PKI
import PrivateFiles
import SystemPackage

/// The file system and the clock, as `WatchedFiles` uses them.
package protocol FileAccess: Sendable {
    /// The time in nanoseconds since 1970, from the clock that `FileMark.changedAt` comes from.
    var now: Int64 { get }
    /// The mark of the file that a path leads to, through symbolic links.
    func mark(of path: FilePath) throws -> FileMark
    /// Reads the first `limit` bytes of a regular file. Throws for anything else. Never blocks.
    func read(_ path: FilePath, atMost limit: Int) throws -> FileReading
}

/// The system's own files and clock.
package struct SystemFiles: FileAccess {
    package init() {}

    package var now: Int64 {
        var time = timespec()
        // This is safe, since the call only fills `time`. It can't fail, since this clock always exists.
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return FileMark.nanoseconds(time)
    }

    package func mark(of path: FilePath) throws -> FileMark { FileMark(try path.stat()) }

    package func read(_ path: FilePath, atMost limit: Int) throws -> FileReading {
        let descriptor = try PrivateFile.openRegular(path)
        return try descriptor.closeAfter {
            let before = FileMark(try descriptor.stat())
            let content = try PrivateFile.readAll(descriptor, atMost: limit)
            return FileReading(content: content, before: before, after: FileMark(try descriptor.stat()))
        }
    }
}

extension FileMark {
    fileprivate init(_ status: Stat) {
        let kind: Kind =
            switch status.type {
            case .regular: .regular
            case .directory: .directory
            default: .other
            }
        self.init(
            device: UInt64(status.rawValue.st_dev), number: UInt64(status.rawValue.st_ino), kind: kind,
            permissions: status.permissions, bytes: status.size, writtenAt: Self.nanoseconds(status.st_mtim),
            changedAt: Self.nanoseconds(status.st_ctim))
    }

    fileprivate static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
