import ACME
import PKI
import State

// Issuers: where certificates come from.
//
// Each source takes what the file declares and gives a chain with its key, checked, or says why not. Storing is for others.

/// Why a certificate could not be obtained.
package struct IssuanceFailure: Error, Sendable, Equatable {
    /// What went wrong, in one line without secrets.
    package let reason: String
    /// What to do about it.
    package let hint: String?
    /// Before when another try is no use, in seconds since 1970; nil when nothing is known of that.
    package let notBefore: Int64?

    /// A failure.
    package init(_ reason: String, hint: String? = nil, notBefore: Int64? = nil) {
        self.reason = reason
        self.hint = hint
        self.notBefore = notBefore
    }

    /// A CA that wants to be left alone for longer is asked again after a day all the same, in seconds.
    private static let longestPauseSeconds: Int64 = 86_400

    /// Of whatever went wrong at a CA, which may say when to come again. `now` is in seconds since 1970.
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
    /// The leaf's key.
    package let key: PrivateKey
    /// What it rests on as a digest: of the text it was read from, or of the local CA; empty for others.
    package let sourceDigest: [UInt8]
    /// Doubts that do not keep it from being used.
    package var warnings: [String]
    /// What ends its order, for the commit that stores it.
    package var closing: [StateMutation] = []
    /// How its provider knows it, where it has one that does.
    package var remote: RemoteCertificate?
    /// The directory of the ACME CA that has issued it; empty for others.
    package var directory = ""
}

extension IssuanceFailure: CustomStringConvertible {
    /// Reason and hint in a line.
    package var description: String { reason + (hint.map { " (\($0))" } ?? "") }
}
