import PKI
import State

/// Who this gateway is for its peers: a certificate with its chain, the key, and the CAs that peers' certificates must
/// come from. Everything fits together and is strong enough. Never changes.
package struct Identity: Sendable {
    /// The certificate, and the authorities above it that are shown with it.
    package let chain: CertificateChain
    package let key: PrivateKey
    /// Chain and key for handshakes.
    package let credential: TLSCredential
    /// The CAs in DER. Without any, peers can't be verified by the identity.
    package let authorities: [[UInt8]]
    /// The SHA-256 of chain and CAs: 32 bytes. Another key comes with another certificate.
    package let version: [UInt8]

    /// The end of the certificate, in seconds since 1970.
    package var notAfter: Int64 { chain.leaf.notAfter }
    /// The end of the certificate or of one above it, whichever comes first, in seconds since 1970.
    package var expiresAt: Int64 { chain.expiresAt }

    /// Whether the certificate's extended key usages allow it for this end of a connection.
    package func isFor(_ purpose: PeerRules.Purpose) -> Bool {
        let usage =
            switch purpose {
            case .client: "1.3.6.1.5.5.7.3.2"
            case .server: "1.3.6.1.5.5.7.3.1"
            }
        let usages = chain.leaf.extendedKeyUsages
        return usages.isEmpty || usages.contains(usage) || usages.contains("2.5.29.37.0")
    }

    /// Reads an identity from texts in PEM. The certificates may come in any order, with those above them.
    ///
    /// - Parameters:
    ///   - authorities: The CAs; nil if the source names none.
    ///   - origin: The names of the three sources, for messages.
    ///   - now: In seconds since 1970. The certificate must be valid then.
    package init(
        certificate: [UInt8], key: SecretBytes, authorities: [UInt8]?, origin: IdentityOrigin, now: Int64
    ) throws(IdentityFault) {
        let key = try IdentityFault.of(origin.key) { () throws(PKIError) -> PrivateKey in try PrivateKey(pem: key) }
        try self.init(certificate: certificate, key: key, authorities: authorities, origin: origin, now: now)
    }

    /// Makes an identity of a key that is known already.
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
            // Throws for what can't be trusted in a handshake.
            _ = try PeerRules(purpose: .client, authorities: certificates)
            return certificates
        }
        let parts = [shown, self.authorities].map { Digest.sha256($0.flatMap { Digest.sha256($0) }) }
        version = Digest.sha256(parts.flatMap { $0 })
    }

    /// What an operator should know of an identity in force; each text continues a sentence whose subject is its
    /// certificate. `now` is in seconds since 1970.
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

/// Where the parts of an identity come from, for messages: such as `cert_file '/etc/aegis/node.crt'`.
package struct IdentityOrigin: Sendable {
    package let certificate: String
    package let key: String
    package let authorities: String

    package init(certificate: String, key: String, authorities: String) {
        (self.certificate, self.key, self.authorities) = (certificate, key, authorities)
    }
}

/// Why an identity can't be used, in one line for operators, without secrets.
package struct IdentityFault: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }

    /// A Vault has not given the identity yet.
    package static let notObtained = IdentityFault("it was not obtained yet")

    /// Runs `body`, and names the source of its error.
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
