import PKI
import State

/// The certificate with which a node identifies itself to peers, its chain and key, and the CAs that peers'
/// certificates must come from. The certificate belongs to the key, and both are strong enough. The value never
/// changes.
package struct Identity: Sendable {
    /// The certificate, and the CA certificates that are sent with it.
    package let chain: CertificateChain
    package let key: PrivateKey
    /// The chain and the key in the form that handshakes need.
    package let credential: TLSCredential
    /// The CAs in DER. If empty, peers can't be verified by the identity.
    package let authorities: [[UInt8]]
    /// The SHA-256 of the chain and the CAs, 32 bytes. The key need not be included, since a new key has a new
    /// certificate.
    package let version: [UInt8]

    /// When the certificate expires, in seconds since 1970.
    package var notAfter: Int64 { chain.leaf.notAfter }
    /// The earliest expiry among the chain's certificates, in seconds since 1970.
    package var expiresAt: Int64 { chain.expiresAt }

    /// Why upstreams would refuse the certificate: it has extended key usages, and clientAuth is none of them (RFC 5280
    /// section 4.2.1.12). Nil if it may be shown to them.
    package var reasonAgainstUpstreams: String? {
        let usages = chain.leaf.extendedKeyUsages
        let isForClients = usages.isEmpty || usages.contains("1.3.6.1.5.5.7.3.2") || usages.contains("2.5.29.37.0")
        return isForClients ? nil : "its certificate is not for clients (its extended key usages lack clientAuth)"
    }

    /// Reads an identity from PEM texts. `certificate` also contains the CA certificates above the leaf; their order
    /// does not matter.
    ///
    /// - Parameters:
    ///   - authorities: The CAs; nil if the source has none.
    ///   - origin: The names of the three sources, for messages.
    ///   - now: In seconds since 1970. The certificate must be valid at this time.
    package init(
        certificate: [UInt8], key: SecretBytes, authorities: [UInt8]?, origin: IdentityOrigin, now: Int64
    ) throws(IdentityFault) {
        let key = try IdentityFault.of(origin.key) { () throws(PKIError) -> PrivateKey in try PrivateKey(pem: key) }
        try self.init(certificate: certificate, key: key, authorities: authorities, origin: origin, now: now)
    }

    /// Makes an identity from PEM texts and a parsed key.
    package init(
        certificate: [UInt8], key privateKey: PrivateKey, authorities: [UInt8]?, origin: IdentityOrigin, now: Int64
    ) throws(IdentityFault) {
        key = privateKey
        chain = try IdentityFault.of(origin.certificate) { () throws(PKIError) -> CertificateChain in
            let chain = try CertificateChain(pem: certificate, key: privateKey, now: now)
            try chain.checkStrength()
            return chain
        }
        let leaf = chain.leaf
        guard leaf.notBefore <= now else {
            throw IdentityFault("\(origin.certificate): it is not valid before \(UTCTime.text(leaf.notBefore))")
        }
        guard now < leaf.notAfter else {
            throw IdentityFault("\(origin.certificate): it expired on \(UTCTime.text(leaf.notAfter))")
        }
        let shown = chain.certificates.map(\.der)
        credential = try IdentityFault.of(origin.certificate) { () throws(PKIError) -> TLSCredential in
            try TLSCredential(chain: shown, key: privateKey)
        }
        self.authorities = try IdentityFault.of(origin.authorities) { () throws(PKIError) -> [[UInt8]] in
            guard let authorities else { return [] }
            let certificates = try PEM.certificates(in: authorities)
            // Throws if a CA is not acceptable for verifying peers.
            _ = try PeerRules(purpose: .client, authorities: certificates)
            return certificates
        }
        let parts = [shown, self.authorities].map { Digest.sha256($0.flatMap { Digest.sha256($0) }) }
        version = Digest.sha256(parts.flatMap { $0 })
    }

    /// Warnings for the operator about an identity in force. Each text continues a sentence whose subject is the
    /// identity's certificate. `now` is in seconds since 1970.
    package func warnings(now: Int64) -> [String] {
        if notAfter <= now {
            return ["has expired on \(UTCTime.text(notAfter)), and stays in force until it is replaced"]
        }
        guard let first = chain.certificates.dropFirst().min(by: { $0.notAfter < $1.notAfter }),
            first.notAfter <= now || first.endsBefore(chain.leaf)
        else { return [] }
        return [
            "is valid until \(UTCTime.text(notAfter)), but above it '\(first.subject)' ends on"
                + " \(UTCTime.text(first.notAfter))"
        ]
    }
}

/// The sources of an identity's parts, for messages, such as `cert_file '/etc/aegis/node.crt'`.
package struct IdentityOrigin: Sendable {
    package let certificate: String
    package let key: String
    package let authorities: String

    package init(certificate: String, key: String, authorities: String) {
        (self.certificate, self.key, self.authorities) = (certificate, key, authorities)
    }
}

/// Why an identity can't be used: one line for operators, without secrets.
package struct IdentityFault: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }

    /// No gateway has obtained the identity from its Vault yet.
    package static let notObtained = IdentityFault("it was not obtained yet")

    /// Runs `body`. If it throws, the error's text names the source `origin`.
    static func of<Result, Failure: Error>(
        _ origin: String, _ body: () throws(Failure) -> Result
    ) throws(IdentityFault) -> Result {
        do {
            return try body()
        } catch {
            throw IdentityFault("\(origin): \(error)")
        }
    }
}
