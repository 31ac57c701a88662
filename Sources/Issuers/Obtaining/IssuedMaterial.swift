import PKI
import State

/// An obtained certificate with its private key.
package struct IssuedMaterial: Sendable {
    package let chain: CertificateChain
    package let key: PrivateKey
    let source: CertificateFacts.Source
    /// The SHA-256 of the operator's PEM text or of the local CA's certificate. It shows later whether the source has
    /// changed. Empty for other sources.
    var sourceDigest: [UInt8] = []
    /// Warnings for the operator. The certificate can be used nevertheless.
    package var warnings: [String] = []
    /// Mutations that end the order and the lease. The caller commits them together with the certificate.
    package var closing: [StateMutation] = []
    /// The certificate's ID at its provider. Nil if the provider gives it none.
    var remote: RemoteCertificate?
    /// The CA that issued the certificate (`IssuerProvider.directory`).
    var directory = ""
}
