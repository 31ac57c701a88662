import PKI
import PrivateFiles
import SystemPackage

/// A small file that is read again when it changes. When it can't be read any more, its last content stays.
///
/// Operators replace files in several ways, and stat(2) shows each of them: a renamed file and a turned symbolic link
/// have another inode, and what is overwritten in place has another time.
package struct WatchedFile: Sendable {
    /// The largest file that is read, unless its user allows more: 1 MiB.
    package static let maximumBytes = PrivateFile.maxBytes

    /// The largest file that is read now, in bytes.
    var limit: Int

    /// The last content that was read; nil while there was none.
    package private(set) var content: SecretBytes?
    /// Identifies the content: no other content of any watched file has this number. 0 while there was none.
    package private(set) var version = 0
    /// The permissions of the file that `content` was read from.
    package private(set) var permissions: FilePermissions = []
    /// The reason why the file can't be read now; nil when it can.
    package private(set) var failure: MaterialFailure?

    /// Whether a change is so recent that its writer may not be done. Then the file should be looked at again soon.
    var isChanging: Bool { changingSince != nil }

    /// The mark of the last reading; nil when the file must be read at the next look.
    private var mark: FileMark?
    private var changingSince: Int64?

    /// How old a change must be before a file is read again, in nanoseconds. A program that overwrites a file in place
    /// empties it first, and writes it in pieces: half of a list of CAs would be a good list.
    private static let rest: Int64 = 100_000_000
    /// A change that is less old than this, in nanoseconds, may be followed by another one with the same mark, since
    /// some file systems count whole seconds, or two.
    private static let clockTick: Int64 = 2_000_000_000
    /// How long a file may go on changing before that counts as a failure, in nanoseconds.
    private static let patience: Int64 = 5_000_000_000

    init(limit: Int = maximumBytes) { self.limit = limit }

    /// Looks at the file, and reads it if it has changed.
    ///
    /// - Parameters:
    ///   - isForced: Read the file in any case.
    ///   - nextVersion: The version of a new content, which is counted up when used.
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
        return take(reading, at: now, &nextVersion)
    }

    private mutating func take(_ reading: FileReading, at now: Int64, _ nextVersion: inout Int) -> Bool {
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

    /// Leaves the file to its writer for a while. What was read before stays.
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

/// Why a file, or what is made from files, can't be used.
package struct MaterialFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// For operators, without secrets.
    package let reason: String
    /// Since when there has been a failure, of whatever reason, in seconds since 1970.
    package let since: Int64

    package init(_ reason: String, since: Int64) { (self.reason, self.since) = (reason, since) }

    package var description: String { reason }
}
