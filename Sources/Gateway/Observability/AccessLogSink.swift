import Glibc
import Synchronization

/// Where the lines of all workers go: a file or the standard output, written to by a thread of its own, so that a slow disk
/// or a full pipe holds nobody up.
///
/// What can't be written now is kept, up to 16 MiB, and tried again; what there is no room for any more is lost and counted.
final class AccessLogSink: Sendable {
    /// How much may wait to be written.
    private static let maxWaiting = 16 << 20
    /// How long after a failure it is tried again, in milliseconds.
    private static let retryMilliseconds: Int32 = 250
    /// How long it is tried to write what waits when all is over, in milliseconds.
    private static let closingMilliseconds: Int32 = 2000

    private struct Shared {
        var file: LogFile
        /// Where lines are to go from now on, and whether a line of another process stands there unfinished.
        var next: (file: LogFile, endsWithinLine: Bool)?
        var chunks: [[UInt8]] = []
        /// What waits, with what the thread holds.
        var bytes = 0
        var failure: Int32?
        var isClosed = false
        var isDone = false
    }

    private let shared: Mutex<Shared>
    private let signal: Mailbox<Void>
    private let lost: LostLines

    /// Writes to a file, which this owns from now on.
    init(_ file: LogFile, endsWithinLine: Bool, counting lost: LostLines) throws(SystemFailure) {
        shared = Mutex(Shared(file: file))
        self.lost = lost
        signal = try Mailbox()
        NamedThread("access-log") { [self] in run(owingLineEnd: endsWithinLine) }.start()
    }

    /// Takes lines to be written, or counts them as lost when too much waits already.
    func take(_ lines: [UInt8], lines count: UInt64) {
        let isTaken = shared.withLock { shared in
            guard !shared.isClosed, shared.bytes + lines.count <= Self.maxWaiting else { return false }
            shared.chunks.append(lines)
            shared.bytes += lines.count
            return true
        }
        if isTaken { signal.post(()) } else { lost.add(count) }
    }

    /// Why nothing can be written, while that is so; the `errno`.
    var failure: Int32? { shared.withLock { $0.failure } }

    /// Whether the file was deleted.
    var isDeleted: Bool { shared.withLock { $0.next == nil && $0.file.isDeleted } }

    /// Has all that waits, and all that comes, go to another file, which this owns from now on.
    func move(to file: LogFile, endsWithinLine: Bool) {
        let superseded = shared.withLock { shared in
            let former = shared.next?.file
            shared.next = (file, endsWithinLine)
            return former
        }
        superseded?.close()
        signal.post(())
    }

    /// Closes after the workers, who still have it, have had time to hand over what they hold.
    func closeLater() {
        NamedThread("access-log-end") { [self] in
            _ = sleep(2)
            close()
        }.start()
    }

    /// Writes what waits, then closes.
    func close() {
        shared.withLock { $0.isClosed = true }
        signal.post(())
    }

    /// Waits until everything is written or given up, a few seconds at most.
    func waitUntilWritten() {
        for _ in 0..<3000 {
            if shared.withLock({ $0.isDone }) { return }
            _ = usleep(1000)
        }
    }

    // MARK: The thread

    private func run(owingLineEnd: Bool) {
        var (lines, outcome) = (PendingLines(), PendingLines.Outcome?.none)
        lines.owesLineEnd = owingLineEnd
        while true {
            wait(after: outcome)
            _ = signal.take()
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
            // Nothing is taken any more.
            guard shared.withLock({ $0.isClosed && $0.chunks.isEmpty && $0.next == nil }) else { continue }
            return finish(&lines)
        }
    }

    /// Waits for something to do.
    private func wait(after outcome: PendingLines.Outcome?) {
        var descriptors = [pollfd(fd: signal.descriptor, events: Int16(POLLIN), revents: 0)]
        if outcome == .wouldBlock {
            let file = shared.withLock { $0.file }
            descriptors.append(pollfd(fd: file.descriptor, events: Int16(POLLOUT), revents: 0))
        }
        var patience: Int32 = -1
        if case .failed = outcome { patience = Self.retryMilliseconds }
        _ = unsafe poll(&descriptors, nfds_t(descriptors.count), patience)
    }

    private func write(_ lines: inout PendingLines) -> PendingLines.Outcome? {
        let file = shared.withLock { $0.file }
        let outcome = file.write(&lines)
        let waiting = lines.bytes
        shared.withLock { shared in
            shared.bytes = shared.chunks.reduce(waiting) { $0 + $1.count }
            if case .failed(let code) = outcome { shared.failure = code } else { shared.failure = nil }
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

/// How many lines of access logs were lost since the process began.
final class LostLines: Sendable {
    private let total = Atomic<UInt64>(0)

    var count: UInt64 { total.load(ordering: .relaxed) }

    func add(_ count: UInt64) { total.add(count, ordering: .relaxed) }
}
