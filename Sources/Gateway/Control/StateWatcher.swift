import CLinux
import Glibc
import SystemPackage

/// Waits for the state's files to change (inotify(7)). What is told is that something may have changed: one look at the
/// state's position says whether it has. Where watching is not possible, the control side's own look each second has to do.
@safe
final class StateWatcher {
    /// The database, its -wal and whatever takes its place; a commit writes to one of them.
    private static let changes =
        UInt32(IN_MODIFY) | UInt32(IN_CREATE) | UInt32(IN_MOVED_TO) | UInt32(IN_DELETE) | UInt32(IN_DELETE_SELF)

    private let descriptor: Int32
    private let directory: String
    private let name: String
    private var watch: Int32 = -1

    init(path: String) throws(SystemFailure) {
        let file = FilePath(path)
        let parent = file.removingLastComponent()
        directory = parent.isEmpty ? "." : parent.string
        name = file.lastComponent?.string ?? path
        descriptor = inotify_init1(Int32(IN_CLOEXEC))
        guard descriptor >= 0 else { throw SystemFailure("inotify_init1") }
    }

    deinit { _ = close(descriptor) }

    /// Waits until something has happened to the files, or to the directory if it is not there yet.
    func wait() {
        while true {
            if watch < 0 {
                watch = unsafe inotify_add_watch(descriptor, directory, Self.changes)
                if watch < 0 {
                    // Not there yet: it is looked for again.
                    _ = sleep(1)
                    continue
                }
                return
            }
            if readEvents() { return }
        }
    }

    /// Reads what has happened; true when it concerns the state.
    private func readEvents() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        // The kernel writes whole events into the given room.
        let count = unsafe read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return false }
        var isConcerned = false
        var position = 0
        let header = MemoryLayout<inotify_event>.size
        while position + header <= count {
            // An event and behind it its name, of the length that it says.
            let event = unsafe buffer.withUnsafeBytes {
                unsafe $0.loadUnaligned(fromByteOffset: position, as: inotify_event.self)
            }
            let end = min(count, position + header + Int(event.len))
            let name = buffer[(position + header)..<end].prefix { $0 != 0 }
            if event.mask & (UInt32(IN_DELETE_SELF) | UInt32(IN_IGNORED)) != 0 {
                watch = -1
                isConcerned = true
            }
            if name.starts(with: self.name.utf8) { isConcerned = true }
            position = end
        }
        return isConcerned
    }
}
