import Glibc
import Synchronization

/// Reports to a waiting operator what the issuance of a certificate is waiting for.
package enum WaitNote {
    /// A function that gets the reason of a wait when the wait begins, and nil when it ends. The thread that does the
    /// work calls this function.
    package typealias Receiver = @Sendable (String?) -> Void

    /// The receivers, by thread. The threads of a gateway have none, since no operator waits there. A task-local value
    /// can't be used: on a thread without a task, Swift 6.3 crashes in optimized builds.
    private static let receivers = Mutex<[pthread_t: Receiver]>([:])

    /// Runs `work`. Waits of `work` on this thread are reported to `receiver`.
    package static func reporting<Value>(to receiver: @escaping Receiver, _ work: () throws -> Value) rethrows -> Value
    {
        let thread = pthread_self()
        receivers.withLock { $0[thread] = receiver }
        defer { receivers.withLock { $0[thread] = nil } }
        return try work()
    }

    /// Runs `wait`, and reports its reason while it runs. The reason must not contain text from a CA or a webhook,
    /// since that may quote secrets.
    static func during<Value, Failure: Error>(
        _ reason: @autoclosure () -> String, _ wait: () throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let receiver = receivers.withLock { $0[pthread_self()] }
        guard let receiver else { return try wait() }
        receiver(reason())
        defer { receiver(nil) }
        return try wait()
    }

    /// Returns a function that waits before a request to a service is repeated. It reports the wait, and the cause: why
    /// the last answer was of no use.
    static func beforeRepeating(to service: String) -> @Sendable (Duration, _ cause: String) -> Void {
        { duration, cause in
            let delay = "\(duration.components.seconds) s"
            during("\(service) has given no usable answer (\(cause)), and is asked again after \(delay)") {
                Pause.wait(duration)
            }
        }
    }
}
