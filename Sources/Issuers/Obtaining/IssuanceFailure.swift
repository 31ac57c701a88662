import ACME
import PKI
import State

/// The reason why a certificate could not be obtained.
package struct IssuanceFailure: Error, Sendable, Equatable {
    /// One line with the reason, without secrets.
    package let reason: String
    package let hint: String?
    /// The time before which another try can't succeed, in seconds since 1970. Nil if unknown.
    package let notBefore: Int64?

    package init(_ reason: String, hint: String? = nil, notBefore: Int64? = nil) {
        self.reason = reason
        self.hint = hint
        self.notBefore = notBefore
    }

    /// The longest delay before the next try, in seconds: a day, even if a CA asks for more.
    static let longestPauseSeconds: Int64 = 86_400

    /// Converts an error of a CA. If the CA asks for a delay, sets `notBefore`. `now` is in seconds since 1970.
    init(_ error: any Error, now: Int64) {
        if let failure = error as? IssuanceFailure {
            self = failure
        } else if let wait = (error as? ACMEError)?.retryAfter {
            self.init("\(error)", notBefore: now + min(wait.components.seconds, Self.longestPauseSeconds))
        } else {
            self.init("\(error)")
        }
    }

    init(_ error: PKIError, _ subject: String) { self.init("\(subject): \(error)") }
}

extension IssuanceFailure: CustomStringConvertible {
    package var description: String { reason + (hint.map { " (\($0))" } ?? "") }
}
