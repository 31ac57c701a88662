import ConfigModel
import PKI
import State

/// The operator's own certificates, which are read and checked before they are stored.
package struct OwnCertificate: Sendable {
    /// How many days before its end a certificate causes a warning.
    package static let warningDays: Int64 = 30

    private let reader: SecretReader

    /// Makes a source that reads PEM texts with this reader.
    package init(_ reader: SecretReader) { self.reader = reader }

    /// A digest of the certificate's PEM text. It differs when the operator has replaced the certificate.
    package func digest(of custom: CustomCertificate) throws(IssuanceFailure) -> [UInt8] {
        Digest.sha256(try reader.read(custom.certificate))
    }

    /// Reads chain and key. Throws unless they belong together, are strong, cover the hosts and have not expired.
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
        let warnings =
            try Self.check(chain.leaf, custom, hosts, now: now) + Self.warnings(of: chain, now: now)
        return IssuedMaterial(chain: chain, key: key, sourceDigest: Digest.sha256(text), warnings: warnings)
    }

    /// The warnings that `load` would give for the chain now; empty when its text can't be read here.
    package func chainWarnings(of custom: CustomCertificate, now: Int64) -> [String] {
        guard let text = try? reader.read(custom.certificate),
            let chain = try? CertificateChain(pem: text.plainCopy(), now: now)
        else { return [] }
        return Self.warnings(of: chain, now: now)
    }

    private static func warnings(of chain: CertificateChain, now: Int64) -> [String] {
        chain.warnings(now: now) + chain.missingIntermediate
    }

    /// A message that a certificate does not cover hosts, with some of the hosts and some of the certificate's names.
    package static func misses(_ hosts: [DomainName], _ names: [String]) -> String {
        let hosts = hosts.prefix(3).map { "'\($0.text)'" }.joined(separator: ", ")
        let has = names.prefix(5).joined(separator: ", ")
        return "does not cover \(hosts); it is for \(has.isEmpty ? "no name" : has)"
    }

    /// Checks that a leaf may be served for hosts at a time. Returns warnings that don't prevent its use.
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
