import Glibc
import Synchronization
import SystemPackage

/// Tells when the state in a directory may have changed. It knows files alone; whoever is told looks for itself.
///
/// A file that is written is only the beginning: SQLite writes to the -wal file, has it synced, and then makes the commit
/// visible in shared memory, of which no event tells. So after an event it is time to look at once, and again and again, each
/// time a quarter later than before, up to a second: a commit is seen late by a quarter of the time it has taken. This slow poll never ends: it finds a directory that is made later, and all that
/// events do not tell (network file systems, links, no inotify instance left).
///
/// One thread waits; any thread can wake or stop it.
package final class StateWatcher: Sendable {
    /// What ended a wait.
    package enum Wake: Sendable {
        /// It is time to look at the state.
        case look
        /// Somebody called `wake`.
        case called
        /// Somebody called `stop`; waiting is over for good.
        case stopped
    }

    /// The longest time between two looks.
    package static let slowPoll = Duration.seconds(1)
    /// The time from an event to the second look. The first waits for as long, since a commit is many writes.
    private static let firstPause = Duration.milliseconds(1)

    private let directory: FilePath
    /// The names of the files whose writing matters.
    private let names: Set<String>
    /// -1 when there is none: poll(2) passes over it.
    private let inotify: FileDescriptor
    /// What wakes the waiting thread: a pipe with a byte in it.
    private let bell: (readEnd: FileDescriptor, writeEnd: FileDescriptor)
    private let isStopped = Atomic(false)
    private let schedule: Mutex<Schedule>

    /// When to look next. Only the waiting thread uses it.
    private struct Schedule {
        var next = ContinuousClock.now + slowPoll
        var pause = slowPoll
        var watch: CInt?

        mutating func looking(afterEvent: Bool) {
            pause = afterEvent ? firstPause : min(pause * 5 / 4, slowPoll)
            next = .now + pause
        }
    }

    /// Watches the state whose database is, or will be, at `path`.
    ///
    /// What happens from now on ends a wait, so look at the state first and then wait.
    /// - Throws: `Errno` when there are no file descriptors left.
    package init(path: FilePath) throws(Errno) {
        let parent = path.removingLastComponent()
        directory = parent.isEmpty ? "." : parent
        let name = path.lastComponent?.string ?? ""
        names = [name, name + "-wal"]
        bell = try FileDescriptor.pipe(options: [.nonBlocking, .closeOnExec])
        inotify = FileDescriptor(rawValue: inotify_init1(CInt(IN_NONBLOCK) | CInt(IN_CLOEXEC)))
        schedule = Mutex(Schedule())
        schedule.withLock { watchDirectory(&$0) }
    }

    deinit {
        for descriptor in [bell.readEnd, bell.writeEnd, inotify] where descriptor.rawValue >= 0 {
            try? descriptor.close()
        }
    }

    /// Blocks until it is time to look, or somebody calls. Events of one burst end one wait.
    package func wait() -> Wake {
        schedule.withLock { schedule in
            while true {
                if isStopped.load(ordering: .acquiring) { return .stopped }
                let ready = poll(until: schedule.next)
                if ready.bell {
                    _ = read(bell.readEnd)
                    return isStopped.load(ordering: .acquiring) ? .stopped : .called
                }
                var isTouched = false
                if ready.inotify {
                    poll(for: Self.firstPause)
                    isTouched = readEvents()
                }
                guard isTouched || ContinuousClock.now >= schedule.next else { continue }
                schedule.looking(afterEvent: isTouched)
                watchDirectory(&schedule)
                return .look
            }
        }
    }

    /// Ends the present wait, or the next one. Several calls may end one wait.
    package func wake() {
        // A full pipe has woken it already.
        _ = try? bell.writeEnd.writeAll([0])
    }

    /// Ends the present wait and all later ones.
    package func stop() {
        isStopped.store(true, ordering: .releasing)
        wake()
    }
}

// MARK: System calls

extension StateWatcher {
    /// Files written, made, deleted, and moved in or out; the directory itself deleted or moved.
    private static let mask = [
        IN_MODIFY, IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE_SELF, IN_MOVE_SELF, IN_ONLYDIR,
    ].reduce(UInt32(0)) { $0 | UInt32($1) }

    /// Watches the directory that is at its path now. For one that is watched already this does nothing.
    private func watchDirectory(_ schedule: inout Schedule) {
        // The path is lent to the call alone.
        let watch = unsafe directory.withPlatformString { path in
            unsafe inotify_add_watch(inotify.rawValue, path, Self.mask)
        }
        if let old = schedule.watch, old != watch { inotify_rm_watch(inotify.rawValue, old) }
        schedule.watch = watch < 0 ? nil : watch
    }

    private func poll(until deadline: ContinuousClock.Instant) -> (bell: Bool, inotify: Bool) {
        var entries = [
            pollfd(fd: bell.readEnd.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: inotify.rawValue, events: Int16(POLLIN), revents: 0),
        ]
        poll(&entries, for: deadline - .now)
        return (entries[0].revents != 0, entries[1].revents != 0)
    }

    /// Waits while events gather; a call ends it.
    private func poll(for duration: Duration) {
        var entries = [pollfd(fd: bell.readEnd.rawValue, events: Int16(POLLIN), revents: 0)]
        poll(&entries, for: duration)
    }

    private func poll(_ entries: inout [pollfd], for duration: Duration) {
        // Up to the next millisecond, or the last part of one would be spent going round.
        let milliseconds = max(0, (duration + .microseconds(999)) / .milliseconds(1))
        // The entries are lent to the call alone. A signal ends it like a time that is over; the caller looks at the clock.
        _ = unsafe Glibc.poll(&entries, nfds_t(entries.count), CInt(milliseconds))
    }

    /// Reads all events there are, and tells whether one of them matters.
    private func readEvents() -> Bool {
        var isRelevant = false
        while true {
            let events = read(inotify)
            guard !events.isEmpty else { return isRelevant }
            isRelevant = isRelevant || InotifyEvents(events).contains { $0.name.isEmpty || names.contains($0.name) }
        }
    }

    private func read(_ descriptor: FileDescriptor) -> ArraySlice<UInt8> {
        var bytes = [UInt8](repeating: 0, count: 4096)
        // The buffer is lent to the call alone. Nothing to read is an error here, and means the same as an end.
        let count = try? unsafe bytes.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }
        return bytes.prefix(count ?? 0)
    }
}

/// The events in what inotify gives to read (inotify(7)): watch, mask, cookie, length of the name, the name with zeros.
private struct InotifyEvents: Sequence, IteratorProtocol {
    struct Event {
        /// The file in the watched directory; empty for what befalls the directory, or when events were lost.
        let name: String
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func next() -> Event? {
        let header = 16
        guard rest.count >= header else { return nil }
        // Within the slice, whose length was checked.
        let length = unsafe rest.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: 12, as: UInt32.self) }
        let name = rest.dropFirst(header).prefix(Int(length))
        rest = rest.dropFirst(header + Int(length))
        return Event(name: String(decoding: name.prefix { $0 != 0 }, as: UTF8.self))
    }
}
