import Glibc
import Synchronization

/// Reports what the issuance of a certificate waits for, so that an operator who waits can see it.
package enum WaitNote {
    /// Receives what a thread's work waits for, in one line, and nil when the wait is over.
    package typealias Receiver = @Sendable (String?) -> Void

    /// The receiver of each thread that has one. Threads of a gateway have none, since nobody waits there. A task-local
    /// value would serve tasks alone: on a thread without a task, Swift 6.3 crashes in optimized builds.
    private static let receivers = Mutex<[pthread_t: Receiver]>([:])

    /// Runs `work` and reports to `receiver` what it waits for on this thread.
    package static func reporting<Value>(to receiver: @escaping Receiver, _ work: () throws -> Value) rethrows -> Value
    {
        let thread = pthread_self()
        receivers.withLock { $0[thread] = receiver }
        defer { receivers.withLock { $0[thread] = nil } }
        return try work()
    }

    /// Runs `wait` and reports its reason meanwhile. The reason must not contain text of a CA or a webhook, since they
    /// may quote secrets.
    static func during<Failure: Error>(
        _ reason: @autoclosure () -> String, _ wait: () throws(Failure) -> Void
    ) throws(Failure) {
        let receiver = receivers.withLock { $0[pthread_self()] }
        guard let receiver else { return try wait() }
        receiver(reason())
        defer { receiver(nil) }
        try wait()
    }

    /// Returns the function by which a client of a service waits before it repeats a request.
    static func beforeRepeating(to service: String) -> @Sendable (Duration) -> Void {
        { duration in
            let delay = "\(duration.components.seconds) s"
            during("\(service) has given no usable answer, and is asked again after \(delay)") { Pause.wait(duration) }
        }
    }
}
