import Dispatch
import Synchronization

/// Passes requests to the admin API to threads of their own, so that slow answers delay neither the admin listener's
/// other answers nor the control side. Changes are carried out one after another, on a thread of their own: they may
/// wait for an apply, and readers must not wait with them.
final class AdminQueue: Sendable {
    /// A queue of requests, and the threads that answer them.
    private final class Lane: Sendable {
        private struct Job: Sendable {
            let request: AdminRequest
            let deliver: @Sendable (AdminResponse) -> Void
        }

        private let service: any AdminService
        private let mostWaiting: Int
        private let waiting = Mutex<[Job]>([])
        private let signal = DispatchSemaphore(value: 0)

        init(_ service: any AdminService, _ name: String, threads: Int, mostWaiting: Int) {
            self.service = service
            self.mostWaiting = mostWaiting
            for number in 0..<threads { NamedThread("\(name)-\(number)") { [self] in run() }.start() }
        }

        func submit(_ request: AdminRequest, _ deliver: @escaping @Sendable (AdminResponse) -> Void) -> Bool {
            let isAccepted = waiting.withLock { waiting in
                guard waiting.count < mostWaiting else { return false }
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

    private let readings: Lane
    private let changes: Lane
    let streams: AdminStreams

    /// `statePath` is the file whose changes streams tell of.
    init(_ service: any AdminService, statePath: String) {
        streams = AdminStreams(service, statePath: statePath)
        // Each waiting request has at most `AdminRequest.maximumBodyBytes`.
        readings = Lane(service, "admin-api", threads: 2, mostWaiting: 32)
        changes = Lane(service, "admin-changes", threads: 1, mostWaiting: 32)
    }

    /// Returns false at once if too many requests wait. Otherwise `deliver` is called with the answer, on another
    /// thread.
    func submit(_ request: AdminRequest, deliver: @escaping @Sendable (AdminResponse) -> Void) -> Bool {
        (request.isChange ? changes : readings).submit(request, deliver)
    }
}
