import Glibc
import Materials
import Synchronization
import SystemPackage

/// Reports when the state in a directory may have changed. The watcher only watches files; its caller reads the state.
///
/// SQLite first writes a commit into the -wal file, which causes an event. Then SQLite makes the commit visible in
/// shared memory, which causes no event. So after an event the watcher reports again and again, with pauses that grow
/// by a quarter, up to a second. The caller sees the commit late by at most a quarter of the time that the commit took.
/// After that the watcher reports once a second. These reports also cover a directory that is created later, and
/// changes without events (network file systems, links, no inotify instance left).
///
/// One thread waits. Any thread may wake or stop the watcher.
package final class StateWatcher: Sendable {
    package enum Wake: Sendable {
        /// It is time to read the state.
        case look
        /// A thread called `wake`.
        case called
        /// A thread called `stop`. All later waits end at once.
        case stopped
    }

    /// The longest time between two reports.
    package static let slowPoll = Duration.seconds(1)
    /// The pause between an event and the first report, and between the first and the second report. A commit consists
    /// of many writes, so the first report waits for further writes.
    private static let firstPause = Duration.milliseconds(1)

    private let directory: FilePath
    /// The names of the files whose changes are reported.
    private let names: Set<String>
    /// The inotify instance; -1 if there is none. poll(2) ignores negative descriptors.
    private let inotify: FileDescriptor
    /// A pipe. A byte written into it wakes the waiting thread.
    private let bell: (readEnd: FileDescriptor, writeEnd: FileDescriptor)
    private let isStopped = Atomic(false)
    private let schedule: Mutex<Schedule>

    /// The time of the next report. Only the waiting thread uses the schedule.
    private struct Schedule {
        var next = ContinuousClock.now + slowPoll
        var pause = slowPoll
        var watch: CInt?

        mutating func looking(afterEvent: Bool) {
            pause = afterEvent ? firstPause : min(pause * 5 / 4, slowPoll)
            next = .now + pause
        }
    }

    /// Watches the state's database at `path`, which need not exist yet.
    ///
    /// Changes after this call end a wait, so the caller should create the watcher, read the state, and then wait.
    ///
    /// - Throws: `Errno` if no file descriptor is free.
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

    /// Blocks until the state should be read, or until a thread calls `wake` or `stop`. A burst of events ends only one
    /// wait.
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

    /// Ends the present wait or, if no thread waits, the next wait. Several calls may together end only one wait.
    package func wake() {
        // A full pipe already has a byte that wakes the thread, so a failed write does no harm.
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
    /// The reported events: a file is written, created, deleted or moved, or the directory itself is deleted or moved.
    private static let mask = [
        IN_MODIFY, IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE_SELF, IN_MOVE_SELF, IN_ONLYDIR,
    ].reduce(UInt32(0)) { $0 | UInt32($1) }

    /// Watches the directory that is at the path now. If the directory is the same as before, inotify returns the same
    /// watch.
    private func watchDirectory(_ schedule: inout Schedule) {
        // This is safe, since the path is lent only for this call.
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

    /// Waits for the rest of a burst of events. `wake` and `stop` end the wait early.
    private func poll(for duration: Duration) {
        var entries = [pollfd(fd: bell.readEnd.rawValue, events: Int16(POLLIN), revents: 0)]
        poll(&entries, for: duration)
    }

    private func poll(_ entries: inout [pollfd], for duration: Duration) {
        // The time is rounded up to whole milliseconds. Otherwise the loop would spin during the last fraction of a
        // millisecond.
        let milliseconds = max(0, (duration + .microseconds(999)) / .milliseconds(1))
        // A signal ends the call early, like a timeout. The caller then looks at the clock.
        Poll.wait(for: &entries, milliseconds: CInt(milliseconds))
    }

    /// Reads all waiting events. Returns whether an event concerns the state's files or the directory.
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
        // This is safe, since the buffer is lent only for this call. A read from an empty pipe fails, which counts as
        // reading nothing.
        let count = try? unsafe bytes.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }
        return bytes.prefix(count ?? 0)
    }
}
