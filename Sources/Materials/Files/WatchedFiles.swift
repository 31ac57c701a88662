import PKI
import SystemPackage

// Materials: the certificates, keys and CAs that TLS needs and that are not in the state. They come from files,
// environment variables or Vaults, or are made for development. Files are watched. If a file or an identity can't be
// used, its last good version stays in force.

/// The files from which trust and identities are made. A file with several users is watched only once, and as long as
/// it has a user.
///
/// A call of `look` costs one stat(2) for each unchanged file.
package struct WatchedFiles: Sendable {
    /// Relative paths start at this directory. If it changes, the next `look` reads the files there.
    package var directory: FilePath { didSet { placesVersion += 1 } }

    private struct Entry {
        var users: Int
        var file = WatchedFile()
    }

    private let files: any FileAccess
    private var entries: [String: Entry] = [:]
    private var nextVersion = 1
    /// Grows when `places` change.
    package private(set) var placesVersion = 0

    package init(directory: FilePath = ".", files: any FileAccess = SystemFiles()) {
        (self.directory, self.files) = (directory, files)
    }

    /// Whether the last `look` found a file that a program may still be writing. If so, `look` should be called again
    /// after a tenth of a second.
    package private(set) var isChanging = false

    /// The last content and state of a file that is in use. An empty value if the file is not in use.
    package subscript(path: String) -> WatchedFile { entries[path]?.file ?? WatchedFile() }

    /// The full path of a file, for messages.
    package func place(of path: String) -> FilePath { directory.pushing(FilePath(path)) }

    /// The full paths of all files.
    package var places: [FilePath] { entries.keys.map { place(of: $0) } }

    /// Adds a user of a file, and reads the file for its first user. `limit` is the largest size to read, in bytes. If
    /// users have different limits, the largest one counts.
    package mutating func use(_ path: String, atMost limit: Int = WatchedFile.maximumBytes) {
        if let entry = entries[path] {
            entries[path]?.users += 1
            entries[path]?.file.limit = max(limit, entry.file.limit)
            return
        }
        var file = WatchedFile(limit: limit)
        _ = file.look(files, at: place(of: path), nextVersion: &nextVersion)
        entries[path] = Entry(users: 1, file: file)
        placesVersion += 1
    }

    /// Removes a user of a file. Without users, the file is no longer watched.
    ///
    /// - Returns: Whether the file has no users left.
    @discardableResult
    package mutating func release(_ path: String) -> Bool {
        guard let users = entries[path]?.users, users > 1 else {
            entries[path] = nil
            placesVersion += 1
            return true
        }
        entries[path]?.users = users - 1
        return false
    }

    /// Checks all files for changes.
    ///
    /// - Parameter isForced: Whether files are read even if they have not changed.
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
