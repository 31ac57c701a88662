import Glibc
import SystemPackage

/// Reports when watched files may have changed, by inotify(7). It watches the directories of the files, and of the
/// files that symbolic links lead to. It misses changes on network file systems, and changes of links higher up in a
/// path. So the caller must also check the files regularly.
///
/// Only one thread may use this type.
package final class DirectoryWatch {
    /// Becomes readable when a file may have changed.
    package let descriptor: Int32
    private let inotify: FileDescriptor
    private var directories: Set<String> = []
    /// The names in these directories that matter.
    private var names: Set<String> = []
    private var watches: Set<Int32> = []

    /// - Throws: `Errno` if no file descriptor or no inotify instance is free.
    package init() throws(Errno) {
        descriptor = inotify_init1(CInt(IN_NONBLOCK) | CInt(IN_CLOEXEC))
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        inotify = FileDescriptor(rawValue: descriptor)
    }

    deinit { try? inotify.close() }

    /// Watches these files instead of the former ones. Must be called again after each change, since a link may then
    /// lead to another file.
    package func follow(_ paths: [FilePath]) {
        (directories, names) = ([], [])
        for path in paths {
            add(path)
            // A link may lead through another link in the same directory, as in volumes of Kubernetes: tls.crt ->
            // ..data/tls.crt. Then only the link ..data changes.
            guard let target = Self.link(at: path) else { continue }
            names.formUnion(target.components.map(\.string))
            if let end = Self.end(of: path) { add(end) }
        }
        renew()
    }

    private func add(_ path: FilePath) {
        guard let name = path.lastComponent?.string else { return }
        let parent = path.removingLastComponent()
        directories.insert(parent.isEmpty ? "." : parent.string)
        names.insert(name)
    }

    /// Watches the directories that are at the paths now, and no longer watches replaced ones.
    package func renew() {
        // This is safe, since the path is lent only for this call. For a missing directory the call fails; a later
        // `renew` watches it.
        let present = directories.map { unsafe inotify_add_watch(descriptor, $0, Self.mask) }.filter { $0 >= 0 }
        for former in watches.subtracting(present) { inotify_rm_watch(descriptor, former) }
        watches = Set(present)
    }

    /// Reads all events. Returns whether one may concern a file.
    package func drain() -> Bool {
        var isRelevant = false
        while true {
            var bytes = [UInt8](repeating: 0, count: 4096)
            // This is safe, since the buffer is lent only for this call. Without events the read fails.
            let count = (try? unsafe bytes.withUnsafeMutableBytes { try unsafe inotify.read(into: $0) }) ?? 0
            guard count > 0 else { return isRelevant }
            for event in InotifyEvents(bytes.prefix(count)) where event.name.isEmpty || names.contains(event.name) {
                isRelevant = true
            }
        }
    }

    /// The events that matter: a file was closed after writing, created, moved or deleted, or its permissions changed;
    /// or the directory itself was moved or deleted. Single writes don't matter, since a file is not read while a
    /// program writes it.
    private static let mask = [
        IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO, IN_ATTRIB, IN_DELETE_SELF, IN_MOVE_SELF,
        IN_ONLYDIR,
    ].reduce(UInt32(0)) { $0 | UInt32($1) }

    /// The target of a symbolic link; nil if the path is no link.
    private static func link(at path: FilePath) -> FilePath? {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        // This is safe, since readlink(2) writes at most PATH_MAX bytes. The last byte stays zero.
        let count = unsafe path.withPlatformString { unsafe readlink($0, &bytes, Int(PATH_MAX)) }
        guard count >= 0 else { return nil }
        return FilePath(String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    /// The target of a path, without symbolic links (realpath(3)); nil if the path leads nowhere.
    private static func end(of path: FilePath) -> FilePath? {
        // This is safe, since the text that realpath(3) allocates is copied, and freed once.
        guard let text = unsafe path.withPlatformString({ unsafe realpath($0, nil) }) else { return nil }
        defer { unsafe free(text) }
        return unsafe FilePath(platformString: text)
    }
}
