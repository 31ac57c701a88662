import Glibc
import Synchronization

/// The control side's access to a worker: its mailbox, its metrics, and whether it has ended.
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

    /// Starts the worker in a thread of its own.
    func start(_ setup: @escaping @Sendable () -> WorkerSetup) {
        let name = number < 0 ? "admin" : "worker-\(number)"
        NamedThread(name) { [self] in
            do {
                // The worker is created on the thread that it is confined to.
                try Worker(number: number, setup: setup()).run()
            } catch {
                EventLog(.text).error("a worker can't start: \(error)")
            }
            ended.withLock { $0 = true }
        }.start()
    }

    /// Waits until the worker has ended, at most a second. It must have been told to stop.
    func wait() {
        for _ in 0..<1000 {
            if ended.withLock({ $0 }) { return }
            _ = usleep(1000)
        }
    }
}
