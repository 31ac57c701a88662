import COpenSSL
import PeerNames

/// The identity that a verified certificate proves. Only a certificate that `PeerTrust` has accepted may be read as an
/// identity.
package struct PeerIdentity: Sendable {
    /// The names by which rules recognize the owner. Names of kinds that `PeerName` does not have are left out, and so
    /// are malformed names. Empty if the certificate has more names than `SubjectNameReader` reads.
    package let names: [PeerName]
    /// The subject in the form of RFC 4514, escaped and cut (`PeerCertificate.maximumTextBytes`).
    package let subject: String
    /// The SHA-256 of the certificate as lower-case hex.
    package let fingerprint: String

    /// Reads a certificate in DER; nil if it can't be read.
    package init?(certificate der: [UInt8]) {
        guard let handle = try? CertificateHandle(der: der) else { return nil }
        defer { extendLifetime(handle) }
        names = (try? unsafe PeerName.names(of: X509ExtensionReader(certificate: handle.handle))) ?? []
        subject = unsafe PeerCertificate.text(of: X509_get_subject_name(handle.handle))
        fingerprint = Digest.sha256Text(der)
    }
}
