import PKI
import PrivateFiles
import SystemPackage

/// A small file that is read again when it changes. If it can't be read any more, its last content stays.
///
/// Operators replace files in several ways, and stat(2) shows each of them. After a rename, or if a symbolic link now
/// leads elsewhere, the inode differs. After a write in place, the time differs.
package struct WatchedFile: Sendable {
    /// The default limit for the size of a file: 1 MiB.
    package static let maximumBytes = PrivateFile.maxBytes

    /// The largest size of the file that is read, in bytes.
    var limit: Int

    /// The content that was last read; nil if none was read yet.
    package private(set) var content: SecretBytes?
    /// A number that identifies the content. No other content of any watched file has this number. 0 if none was read
    /// yet.
    package private(set) var version = 0
    /// The permissions of the file that `content` was read from.
    package private(set) var permissions: FilePermissions = []
    /// The reason why the file can't be read now; nil when it can.
    package private(set) var failure: MaterialFailure?

    /// Whether the file has changed so recently that a program may still be writing to it. If so, `look` should be
    /// called again soon.
    var isChanging: Bool { changingSince != nil }

    /// The mark of the file when it was last read; nil if the next `look` must read the file again.
    private var mark: FileMark?
    private var changingSince: Int64?

    /// How old a change must be before the file is read again, in nanoseconds. A program that overwrites a file in
    /// place first empties it and then writes it in pieces. A half-written list of CAs would be accepted as a complete
    /// one.
    private static let rest: Int64 = 100_000_000
    /// If a change is younger than this, in nanoseconds, another change may follow that leaves the same mark. Some file
    /// systems store times in steps of one or two seconds.
    private static let clockTick: Int64 = 2_000_000_000
    /// If a file changes again and again for this long, in nanoseconds, that counts as a failure.
    private static let patience: Int64 = 5_000_000_000

    init(limit: Int = maximumBytes) { self.limit = limit }

    /// Checks whether the file has changed, and reads it if it has.
    ///
    /// - Parameters:
    ///   - isForced: Whether the file is read even if it has not changed.
    ///   - nextVersion: The version for a new content. It is incremented when it is used.
    /// - Returns: Whether version, permissions or failure have changed.
    mutating func look(
        _ files: any FileAccess, at path: FilePath, isForced: Bool = false, nextVersion: inout Int
    ) -> Bool {
        let now = files.now
        let reading: FileReading
        do {
            let present = try files.mark(of: path)
            if !isForced, mark == present {
                changingSince = nil
                return false
            }
            switch present.kind {
            case .regular: break
            case .directory: return fail("it is a directory", at: now)
            case .other: return fail("it is no regular file", at: now)
            }
            guard present.bytes <= limit else { return fail(tooLarge, at: now) }
            if !isForced, content != nil, (0..<Self.rest).contains(now - present.changedAt) {
                return wait(at: now)
            }
            reading = try files.read(path, atMost: limit + 1)
        } catch {
            return fail("\(error)", at: now)
        }
        guard reading.before == reading.after else { return wait(at: now) }
        guard reading.content.count <= limit else { return fail(tooLarge, at: now) }
        return record(reading, at: now, &nextVersion)
    }

    private mutating func record(_ reading: FileReading, at now: Int64, _ nextVersion: inout Int) -> Bool {
        let isOld = !(0..<Self.clockTick).contains(now - reading.after.changedAt)
        mark = isOld ? reading.after : nil
        changingSince = nil
        let former = (version, permissions, failure)
        if reading.content != content {
            content = reading.content
            version = nextVersion
            nextVersion += 1
        }
        permissions = reading.after.permissions
        failure = nil
        return former != (version, permissions, failure)
    }

    /// Does not read the file now, since a program may be writing to it. The content that was read before stays.
    private mutating func wait(at now: Int64) -> Bool {
        let since = changingSince ?? now
        defer { changingSince = since }
        mark = nil
        return now - since < Self.patience && content != nil ? false : fail("it is being changed", at: now)
    }

    private mutating func fail(_ reason: String, at now: Int64) -> Bool {
        (mark, changingSince) = (nil, nil)
        guard failure?.reason != reason else { return false }
        failure = MaterialFailure(reason, since: failure?.since ?? now / 1_000_000_000)
        return true
    }

    private var tooLarge: String { "it is larger than \(limit >> 20) MiB" }
}

/// Why a file, or an identity that is made from files, can't be used.
package struct MaterialFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// The reason in one line for operators, without secrets.
    package let reason: String
    /// When the first of the failures in a row happened, in seconds since 1970. The reason may have changed since.
    package let since: Int64

    package init(_ reason: String, since: Int64) { (self.reason, self.since) = (reason, since) }

    package var description: String { reason }
}
