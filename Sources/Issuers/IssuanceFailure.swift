import ACME
import PKI
import State

// Issuers: the sources of certificates.
//
// Each source takes a declaration from the file and returns a checked chain with its key, or a failure. Storing the
// result is up to the caller.

/// The reason why a certificate could not be obtained.
package struct IssuanceFailure: Error, Sendable, Equatable {
    /// The reason in one line, without secrets.
    package let reason: String
    /// Advice for the operator.
    package let hint: String?
    /// The time before which another try is useless, in seconds since 1970; nil when unknown.
    package let notBefore: Int64?

    package init(_ reason: String, hint: String? = nil, notBefore: Int64? = nil) {
        self.reason = reason
        self.hint = hint
        self.notBefore = notBefore
    }

    /// The longest wait before the next try, in seconds: a day, even if a CA asks for more.
    private static let longestPauseSeconds: Int64 = 86_400

    /// Makes a failure from any error at a CA, which may say when to try again. `now` is in seconds since 1970.
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

/// A certificate with its key, ready to be stored.
package struct IssuedMaterial: Sendable {
    /// The leaf and its intermediates.
    package let chain: CertificateChain
    package let key: PrivateKey
    /// A digest of the source: of the text that the certificate was read from, or of the local CA; empty for other
    /// sources.
    package let sourceDigest: [UInt8]
    /// Warnings that don't prevent the certificate's use.
    package var warnings: [String]
    /// The mutations that end the order, for the commit that stores the certificate.
    package var closing: [StateMutation] = []
    /// The certificate's identity at its provider, where it has one.
    package var remote: RemoteCertificate?
    /// The directory of the ACME CA that issued the certificate; empty for other sources.
    package var directory = ""
}

extension IssuanceFailure: CustomStringConvertible {
    /// Reason and hint in one line.
    package var description: String { reason + (hint.map { " (\($0))" } ?? "") }
}
