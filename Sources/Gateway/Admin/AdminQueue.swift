import Dispatch
import Synchronization

/// Passes requests to the admin API to threads of their own, so that slow answers delay neither the admin listener's
/// other answers nor the control side.
final class AdminQueue: Sendable {
    private struct Job: Sendable {
        let request: AdminRequest
        let deliver: @Sendable (AdminResponse) -> Void
    }

    /// How many requests are answered at the same time.
    private static let threads = 2
    /// How many requests wait at most. Each has at most `AdminRequest.maximumBodyBytes`.
    private static let mostWaiting = 32

    private let service: any AdminService
    private let waiting = Mutex<[Job]>([])
    private let signal = DispatchSemaphore(value: 0)

    init(_ service: any AdminService) {
        self.service = service
        for number in 0..<Self.threads { NamedThread("admin-api-\(number)") { [self] in run() }.start() }
    }

    /// Returns false at once if too many requests wait. Otherwise `deliver` is called with the answer, on another thread.
    func submit(_ request: AdminRequest, deliver: @escaping @Sendable (AdminResponse) -> Void) -> Bool {
        let isAccepted = waiting.withLock { waiting in
            guard waiting.count < Self.mostWaiting else { return false }
            waiting.append(Job(request: request, deliver: deliver))
            return true
        }
        if isAccepted { signal.signal() }
        return isAccepted
    }

    private func run() {
        while true {
            signal.wait()
            guard let job = waiting.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { continue }
            job.deliver(service.answer(job.request))
        }
    }
}
