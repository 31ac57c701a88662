import Glibc
import Synchronization

/// Writes the access log lines of all workers to a file or the standard output. The sink has a thread of its own, so
/// that a slow disk or a full pipe delays no worker.
///
/// Lines that can't be written yet wait, up to 16 MiB, and are tried again. Further lines are lost and counted.
final class AccessLogSink: Sendable {
    private static let maxWaiting = 16 << 20
    /// How long the sink waits after a failed write before it tries again, in milliseconds.
    private static let retryMilliseconds: Int32 = 250
    /// How long a closed sink still tries to write the waiting lines, in milliseconds.
    private static let closingMilliseconds: Int32 = 2000

    private struct Shared {
        var file: LogFile
        /// The file to use from now on. `endsWithinLine` is true if the file ends with an unfinished line of another
        /// process.
        var next: (file: LogFile, endsWithinLine: Bool)?
        var chunks: [[UInt8]] = []
        /// The number of bytes that wait to be written, including the bytes that the writing thread holds.
        var bytes = 0
        var failure: Int32?
        var isClosed = false
        var isDone = false
    }

    private let shared: Mutex<Shared>
    private let signal: Mailbox<Void>
    private let lost: LostLines

    /// The sink closes `file` when it no longer needs it.
    init(_ file: LogFile, endsWithinLine: Bool, counting lost: LostLines) throws(SystemFailure) {
        shared = Mutex(Shared(file: file))
        self.lost = lost
        signal = try Mailbox()
        NamedThread("access-log") { [self] in run(owingLineEnd: endsWithinLine) }.start()
    }

    /// Lines are lost and counted if the sink is closed, or if too many bytes already wait.
    func enqueue(_ lines: [UInt8], count: UInt64) {
        let isQueued = shared.withLock { shared in
            guard !shared.isClosed, shared.bytes + lines.count <= Self.maxWaiting else { return false }
            shared.chunks.append(lines)
            shared.bytes += lines.count
            return true
        }
        if isQueued { signal.post(()) } else { lost.add(count) }
    }

    /// The `errno` with which the last write failed. Nil if it did not fail, or if the file is deleted.
    var failure: Int32? { shared.withLock { $0.failure } }

    var isDeleted: Bool { shared.withLock { $0.next == nil && $0.file.isDeleted } }

    /// Switches to another file, also for lines that already wait. The sink closes the file when it no longer needs it.
    func move(to file: LogFile, endsWithinLine: Bool) {
        let superseded = shared.withLock { shared in
            let former = shared.next?.file
            shared.next = (file, endsWithinLine)
            return former
        }
        superseded?.close()
        signal.post(())
    }

    /// Returns at once. The sink's thread writes the waiting lines and then closes the file.
    func close() {
        shared.withLock { $0.isClosed = true }
        signal.post(())
    }

    /// Whether the sink is closed, and all lines are written or given up.
    var isDone: Bool { shared.withLock { $0.isDone } }

    /// Waits until the sink is done, but at most three seconds.
    func waitUntilDone() {
        for _ in 0..<3000 where !isDone { _ = usleep(1000) }
    }

    // MARK: The thread

    private func run(owingLineEnd: Bool) {
        var (lines, outcome) = (PendingLines(), PendingLines.Outcome?.none)
        lines.owesLineEnd = owingLineEnd
        while true {
            wait(after: outcome)
            _ = signal.drain()
            let next = shared.withLock { shared in
                for chunk in shared.chunks { lines.append(chunk) }
                defer { (shared.chunks, shared.next) = ([], nil) }
                return shared.next
            }
            outcome = write(&lines)
            if let next {
                move(&lines, to: next.file, endsWithinLine: next.endsWithinLine)
                outcome = write(&lines)
            }
            // A closed sink accepts no lines, so no further line can come after this check.
            guard shared.withLock({ $0.isClosed && $0.chunks.isEmpty && $0.next == nil }) else { continue }
            return finish(&lines)
        }
    }

    /// Waits until there are new lines or another file, or until a write can be tried again.
    private func wait(after outcome: PendingLines.Outcome?) {
        var descriptors = [pollfd(fd: signal.descriptor, events: Int16(POLLIN), revents: 0)]
        if outcome == .wouldBlock {
            let file = shared.withLock { $0.file }
            descriptors.append(pollfd(fd: file.descriptor, events: Int16(POLLOUT), revents: 0))
        }
        var patience: Int32 = -1
        if case .failed = outcome { patience = Self.retryMilliseconds }
        Poll.wait(for: &descriptors, milliseconds: patience)
    }

    private func write(_ lines: inout PendingLines) -> PendingLines.Outcome? {
        let file = shared.withLock { $0.file }
        let outcome = file.write(&lines)
        let waiting = lines.bytes
        shared.withLock { shared in
            shared.bytes = shared.chunks.reduce(waiting) { $0 + $1.count }
            shared.failure = nil
            if case .failed(let code) = outcome, !file.isDeleted { shared.failure = code }
        }
        return outcome
    }

    private func move(_ lines: inout PendingLines, to file: LogFile, endsWithinLine: Bool) {
        let former = shared.withLock { shared in
            defer { shared.file = file }
            return shared.file
        }
        if !former.isSame(as: file) {
            lines.restartLine()
            lines.owesLineEnd = endsWithinLine
        }
        former.close()
    }

    private func finish(_ lines: inout PendingLines) {
        let file = shared.withLock { $0.file }
        var left = Self.closingMilliseconds
        while left > 0, write(&lines) == .wouldBlock {
            _ = file.hasRoom(milliseconds: 100)
            left -= 100
        }
        lost.add(UInt64(lines.giveUp()))
        file.close()
        shared.withLock { $0.isDone = true }
    }
}

/// Keeps a sink open for the control side, and for each buffer whose lines go there. The sink closes when all of them
/// have released this object.
final class AccessLogHold: Sendable {
    let sink: AccessLogSink

    init(_ sink: AccessLogSink) { self.sink = sink }

    deinit { sink.close() }
}

/// The number of access log lines that were lost since the process started.
final class LostLines: Sendable {
    private let total = Atomic<UInt64>(0)

    var count: UInt64 { total.load(ordering: .relaxed) }

    func add(_ count: UInt64) { total.add(count, ordering: .relaxed) }
}
