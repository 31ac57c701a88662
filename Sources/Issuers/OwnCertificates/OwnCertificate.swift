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

    /// Reads the chain and the key. Throws unless they match, are strong and cover the hosts, and clients accept the
    /// leaf now. With `allow_expired` the leaf may have expired.
    package func load(_ custom: CustomCertificate, for hosts: [DomainName], now: Int64) throws(IssuanceFailure)
        -> IssuedMaterial
    {
        let text = try reader.read(custom.certificate)
        let key = try reader.read(custom.key)
        do throws(Fault) {
            return try Self.examine(text, key: key, for: hosts, allowsExpired: custom.allowsExpired, now: now)
        } catch {
            let part = error.isOfKey ? custom.key : custom.certificate
            throw IssuanceFailure("\(part): \(error.reason)", hint: error.hint)
        }
    }

    /// Why a certificate or its key can't be used.
    package struct Fault: Error, Sendable {
        /// Whether the key is at fault, and not the certificate.
        package let isOfKey: Bool
        /// The reason in words. A message puts the place of the faulty text and a colon before it.
        package let reason: String
        package var hint: String?

        fileprivate init(_ reason: String, isOfKey: Bool = false, hint: String? = nil) {
            self.isOfKey = isOfKey
            self.reason = reason
            self.hint = hint
        }
    }

    /// Parses a chain and its key in PEM. Throws unless they match, are strong and cover the hosts, and clients accept
    /// the leaf now. If `allowsExpired` is true, the leaf may have expired.
    private static func examine(
        _ text: SecretBytes, key keyText: SecretBytes, for hosts: [DomainName], allowsExpired: Bool, now: Int64
    ) throws(Fault) -> IssuedMaterial {
        let key: PrivateKey
        do throws(PKIError) {
            key = try PrivateKey(pem: keyText)
        } catch {
            throw Fault("\(error)", isOfKey: true)
        }
        let chain: CertificateChain
        do throws(PKIError) {
            chain = try CertificateChain(pem: text.plainCopy(), key: key, now: now)
            try chain.checkStrength()
        } catch {
            throw Fault("\(error)")
        }
        var warnings = try check(chain.leaf, hosts, allowsExpired: allowsExpired, now: now)
        let refusal = chain.refusal(now: now)
        if let refusal, refusal.isOfLeaf { throw Fault("clients refuse it: \(refusal)") }
        warnings += Self.warnings(of: chain, refusal, now: now)
        return IssuedMaterial(
            chain: chain, key: key, source: .custom, sourceDigest: Digest.sha256(text), warnings: warnings)
    }

    /// Examines a certificate that was sent with its key, in PEM. The result's `sourceDigest` equals that of a file
    /// with only the chain, as an export writes it.
    package static func examine(
        sent text: SecretBytes, key: SecretBytes, for hosts: [DomainName] = [], now: Int64
    ) throws(Fault) -> ObtainedCertificate {
        var material = try examine(text, key: key, for: hosts, allowsExpired: false, now: now)
        // `SecretReader` removes the last line end of a file, so the digest leaves it out too.
        material.sourceDigest = Digest.sha256(Array(material.chain.pem.utf8.dropLast()))
        return ObtainedCertificate(material: material, autoRenew: false)
    }

    /// The warnings about the chain that `load` would return now. Empty if the PEM text can't be read.
    package func chainWarnings(of custom: CustomCertificate, now: Int64) -> [String] {
        guard let text = try? reader.read(custom.certificate),
            let chain = try? CertificateChain(pem: text.plainCopy(), now: now)
        else { return [] }
        return Self.warnings(of: chain, chain.refusal(now: now), now: now)
    }

    private static func warnings(of chain: CertificateChain, _ refusal: PeerRefusal?, now: Int64) -> [String] {
        chain.warnings(refusal, now: now) + [chain.gapInFile].compactMap(\.self)
    }

    /// A clause for a message about a certificate. It names a few hosts that the certificate does not cover, and a few
    /// names that it has.
    package static func misses(_ hosts: [DomainName], _ names: [String]) -> String {
        let hosts = hosts.prefix(3).map { "'\($0.text)'" }.joined(separator: ", ")
        let has = names.prefix(5).joined(separator: ", ")
        return "does not cover \(hosts); it is for \(has.isEmpty ? "no name" : has)"
    }

    /// Checks whether a leaf can be used for these hosts now. Returns warnings, and throws if it can't be used.
    private static func check(
        _ leaf: Certificate, _ hosts: [DomainName], allowsExpired: Bool, now: Int64
    ) throws(Fault) -> [String] {
        let uncovered = hosts.filter { !leaf.covers($0.text) }
        guard uncovered.isEmpty else {
            throw Fault("it \(misses(uncovered, leaf.names.map(\.text)))")
        }
        let usages = ["1.3.6.1.5.5.7.3.1", "2.5.29.37.0"]
        guard leaf.extendedKeyUsages.isEmpty || leaf.extendedKeyUsages.contains(where: usages.contains) else {
            throw Fault("it is not for servers (extended key usage)")
        }
        guard leaf.notBefore <= now else { throw Fault("it is not valid before \(UTCTime.text(leaf.notBefore))") }
        let daysLeft = (leaf.notAfter - now) / 86_400
        if leaf.notAfter <= now {
            guard allowsExpired else {
                throw Fault(
                    "it expired on \(UTCTime.text(leaf.notAfter))", hint: "renew it, or set allow_expired: true")
            }
            return ["has expired on \(UTCTime.text(leaf.notAfter))"]
        }
        return daysLeft < warningDays ? ["expires in \(daysLeft) days, on \(UTCTime.text(leaf.notAfter))"] : []
    }
}
