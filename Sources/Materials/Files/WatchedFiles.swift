import PKI
import SystemPackage

// Materials: what TLS needs from outside the state: certificates, keys and CAs, from files, variables, and made for
// development. Files are watched. Whatever can't be used leaves the last good one in force.

/// The files that something is made from. Each path is watched once, whoever uses it, and as long as someone does.
///
/// A look costs a stat(2) for each file that has not changed.
package struct WatchedFiles: Sendable {
    /// The directory that relative paths begin at. A change of it is seen at the next look.
    package var directory: FilePath

    private struct Entry {
        var users: Int
        var file = WatchedFile()
    }

    private let files: any FileAccess
    private var entries: [String: Entry] = [:]
    private var nextVersion = 1

    package init(directory: FilePath = ".", files: any FileAccess = SystemFiles()) {
        (self.directory, self.files) = (directory, files)
    }

    /// Whether the last look found a file that is being changed. Then `look` should be called again after a tenth of a
    /// second.
    package private(set) var isChanging = false

    /// What is known of a file that is in use.
    package subscript(path: String) -> WatchedFile { entries[path]?.file ?? WatchedFile() }

    /// The place of a file, for messages.
    package func place(of path: String) -> FilePath { directory.pushing(FilePath(path)) }

    /// Adds a user of a file. The first one reads it. `limit` is the largest file, in bytes; of several users' limits the
    /// largest counts.
    package mutating func use(_ path: String, atMost limit: Int = WatchedFile.maximumBytes) {
        if let entry = entries[path] {
            entries[path]?.users += 1
            entries[path]?.file.limit = max(limit, entry.file.limit)
            return
        }
        var file = WatchedFile(limit: limit)
        _ = file.look(files, at: place(of: path), nextVersion: &nextVersion)
        entries[path] = Entry(users: 1, file: file)
    }

    /// Removes a user of a file. With the last one the file is forgotten.
    package mutating func release(_ path: String) {
        guard let users = entries[path]?.users else { return }
        if users > 1 { entries[path]?.users = users - 1 } else { entries[path] = nil }
    }

    /// Looks at all files.
    ///
    /// - Parameter isForced: Read the files whether they have changed or not.
    /// - Returns: The paths whose version, permissions or failure have changed.
    package mutating func look(isForced: Bool = false) -> [String] {
        isChanging = false
        var changed: [String] = []
        for index in entries.indices {
            let path = entries.keys[index]
            let place = place(of: path)
            if entries.values[index].file.look(files, at: place, isForced: isForced, nextVersion: &nextVersion) {
                changed.append(path)
            }
            if entries.values[index].file.isChanging { isChanging = true }
        }
        return changed
    }
}
