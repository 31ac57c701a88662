/// Reports what the issuance of a certificate waits for, so that an operator who waits can see it.
package enum WaitNote {
    /// Receives what the work of the present thread waits for, in one line, and nil when the wait is over. The receiver
    /// is nil in a gateway, since nobody waits there.
    @TaskLocal package static var receiver: (@Sendable (String?) -> Void)?

    /// Runs `wait` and reports its reason meanwhile. The reason must not contain text of a CA or a webhook, since they
    /// may quote secrets.
    static func during<Failure: Error>(
        _ reason: @autoclosure () -> String, _ wait: () throws(Failure) -> Void
    ) throws(Failure) {
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
