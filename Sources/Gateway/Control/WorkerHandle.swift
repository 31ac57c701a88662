import Glibc
import Synchronization

/// A worker as the control side knows it.
final class WorkerHandle: Sendable {
    let number: Int
    let mailbox: Mailbox<WorkerMessage>
    let reports: Mailbox<WorkerReport>
    let metrics = WorkerMetrics()
    private let ended = Mutex(false)

    init(number: Int, reports: Mailbox<WorkerReport>) throws(SystemFailure) {
        self.number = number
        self.reports = reports
        mailbox = try Mailbox()
    }

    /// Starts the worker on a thread of its own.
    func start(_ setup: @escaping @Sendable () -> WorkerSetup) {
        let name = number < 0 ? "admin" : "worker-\(number)"
        NamedThread(name) { [self] in
            do {
                // Made on its thread, where it stays.
                try Worker(number: number, setup: setup()).run()
            } catch {
                EventLog(.text).error("a worker can't start: \(error)")
            }
            ended.withLock { $0 = true }
        }.start()
    }

    /// Waits until it has ended, a second at most: it was told to.
    func wait() {
        for _ in 0..<1000 {
            if ended.withLock({ $0 }) { return }
            _ = usleep(1000)
        }
    }
}
