import Dispatch
import Synchronization

/// Answers requests to the admin API on separate threads, so that slow answers delay neither the admin listener's other
/// answers nor the control side. One of these threads carries out all changes, one after another: a change may wait for
/// an apply, and requests that only read must not wait with it.
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

    /// `statePath` is the path of the state's database. When the state changes, each stream sends its next part.
    init(_ service: any AdminService, statePath: String) {
        streams = AdminStreams(service, statePath: statePath)
        // The numbers bound the memory, since each waiting request may have a body of `AdminRequest.maximumBodyBytes`.
        readings = Lane(service, "admin-api", threads: 2, mostWaiting: 32)
        changes = Lane(service, "admin-changes", threads: 1, mostWaiting: 32)
    }

    /// Returns false at once if too many requests wait. Otherwise `deliver` is called with the answer, on another
    /// thread.
    func submit(_ request: AdminRequest, deliver: @escaping @Sendable (AdminResponse) -> Void) -> Bool {
        (request.isChange ? changes : readings).submit(request, deliver)
    }
}
