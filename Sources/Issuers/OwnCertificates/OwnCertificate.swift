import ConfigModel
import PKI
import State

/// Reads and checks certificates that the operator provides (`custom`).
package struct OwnCertificate: Sendable {
    /// A certificate with fewer days before its expiry causes a warning.
    package static let warningDays: Int64 = 30

    private let reader: SecretReader

    package init(_ reader: SecretReader) { self.reader = reader }

    /// The SHA-256 of the certificate's PEM text. It changes when the operator replaces the certificate.
    package func digest(of custom: CustomCertificate) throws(IssuanceFailure) -> [UInt8] {
        Digest.sha256(try reader.read(custom.certificate))
    }

    /// Reads the chain and the key. Throws unless they match, are strong, cover the hosts and are not expired (or
    /// `allow_expired` is set).
    package func load(_ custom: CustomCertificate, for hosts: [DomainName], now: Int64) throws(IssuanceFailure)
        -> IssuedMaterial
    {
        let text = try reader.read(custom.certificate)
        let keyText = try reader.read(custom.key)
        let key: PrivateKey
        do throws(PKIError) {
            key = try PrivateKey(pem: keyText)
        } catch {
            throw IssuanceFailure(error, "\(custom.key)")
        }
        let chain: CertificateChain
        do throws(PKIError) {
            chain = try CertificateChain(pem: text.plainCopy(), key: key, now: now)
            try chain.checkStrength()
        } catch {
            throw IssuanceFailure(error, "\(custom.certificate)")
        }
        var warnings = try Self.check(chain.leaf, custom, hosts, now: now)
        let refusal = chain.refusal(now: now)
        if let refusal, refusal.isOfLeaf {
            throw IssuanceFailure("\(custom.certificate): clients refuse it: \(refusal)")
        }
        warnings += Self.warnings(of: chain, refusal, now: now)
        return IssuedMaterial(
            chain: chain, key: key, source: .custom, sourceDigest: Digest.sha256(text), warnings: warnings)
    }

    /// The warnings that `load` would return now. Empty if the PEM text can't be read.
    package func chainWarnings(of custom: CustomCertificate, now: Int64) -> [String] {
        guard let text = try? reader.read(custom.certificate),
            let chain = try? CertificateChain(pem: text.plainCopy(), now: now)
        else { return [] }
        return Self.warnings(of: chain, chain.refusal(now: now), now: now)
    }

    private static func warnings(of chain: CertificateChain, _ refusal: PeerRefusal?, now: Int64) -> [String] {
        chain.warnings(refusal, now: now) + chain.missingIntermediate
    }

    /// A clause for a message about a certificate. It names a few hosts that the certificate does not cover, and a few
    /// names that it has.
    package static func misses(_ hosts: [DomainName], _ names: [String]) -> String {
        let hosts = hosts.prefix(3).map { "'\($0.text)'" }.joined(separator: ", ")
        let has = names.prefix(5).joined(separator: ", ")
        return "does not cover \(hosts); it is for \(has.isEmpty ? "no name" : has)"
    }

    /// Checks whether a leaf can be used for these hosts now. Returns warnings, and throws if it can't be used.
    private static func check(_ leaf: Certificate, _ custom: CustomCertificate, _ hosts: [DomainName], now: Int64)
        throws(IssuanceFailure) -> [String]
    {
        let uncovered = hosts.filter { !leaf.covers($0.text) }
        guard uncovered.isEmpty else {
            throw IssuanceFailure("\(custom.certificate): it \(misses(uncovered, leaf.names.map(\.text)))")
        }
        let usages = ["1.3.6.1.5.5.7.3.1", "2.5.29.37.0"]
        guard leaf.extendedKeyUsages.isEmpty || leaf.extendedKeyUsages.contains(where: usages.contains) else {
            throw IssuanceFailure("\(custom.certificate): it is not for servers (extended key usage)")
        }
        guard leaf.notBefore <= now else {
            throw IssuanceFailure("\(custom.certificate): it is not valid before \(UTCTime.text(leaf.notBefore))")
        }
        let daysLeft = (leaf.notAfter - now) / 86_400
        if leaf.notAfter <= now {
            guard custom.allowsExpired else {
                throw IssuanceFailure(
                    "\(custom.certificate): it expired on \(UTCTime.text(leaf.notAfter))",
                    hint: "renew it, or set allow_expired: true")
            }
            return ["has expired on \(UTCTime.text(leaf.notAfter))"]
        }
        return daysLeft < warningDays ? ["expires in \(daysLeft) days, on \(UTCTime.text(leaf.notAfter))"] : []
    }
}
