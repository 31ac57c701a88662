import Glibc
import Synchronization

/// The control side's access to a worker. The worker runs on another thread.
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

    /// Starts the worker's thread. `log` gets the reason if the worker can't start.
    func start(log: EventLog, _ setup: @escaping @Sendable () -> WorkerSetup) {
        let name = number < 0 ? "admin" : "worker-\(number)"
        NamedThread(name) { [self] in
            do {
                // The worker is created on its own thread, since only this thread may use the worker.
                try Worker(number: number, setup: setup()).run()
            } catch {
                log.error("a worker can't start: \(error)")
            }
            ended.withLock { $0 = true }
        }.start()
    }

    /// Waits at most a second until the worker has ended. The worker must have been told to stop.
    func wait() {
        for _ in 0..<1000 {
            if ended.withLock({ $0 }) { return }
            _ = usleep(1000)
        }
    }
}
