import COpenSSL

/// The rules for peers' certificates. Connections of all threads share one value.
///
/// A good certificate has a chain of at most `PeerTrust.maximumCertificates` to one of the CAs, is valid now, is meant
/// for the peer's end of a connection, has one of the required names if there are any, and is on no revocation list of
/// its issuer. Each key of the chain is at least RSA 2048 or EC 256, or is Ed25519. Each signature uses SHA-256 or
/// better, except that of the trusted certificate itself.
package struct PeerRules: Sendable {
    /// The peer's end of a connection.
    package enum Purpose: UInt8, Sendable {
        /// The peer connects to us. If its certificate has extended key usages, clientAuth must be among them.
        case client
        /// We connect to the peer. If its certificate has extended key usages, serverAuth must be among them.
        case server
    }

    /// Which end of a connection the peers are.
    package let purpose: Purpose
    /// The patterns of which one must match a name of the certificate; empty allows any name.
    package let requiredNames: [PeerNamePattern]
    /// Whether a certificate must chain to one of the CAs. If not, anybody can make one with any name: for testing
    /// only.
    package let verifiesChain: Bool
    /// Whether expired certificates are accepted, those of CAs included. For testing and migration.
    package let allowsExpired: Bool
    /// Whether a revocation list past its next update is accepted. What it revokes stays revoked.
    package let acceptsOverdueLists: Bool
    /// The SHA-256 of all rules: 32 bytes. The order of CAs, lists and names does not change it. Sessions are bound to
    /// it, so that none is resumed under other rules.
    package let digest: [UInt8]

    let authorities: [CertificateHandle]
    let lists: [RevocationList]

    /// The most CAs, and the most required names.
    package static let maximumAuthorities = 1000

    /// Makes rules. `authorities` are certificates in DER: of roots, of intermediate CAs, or of peers themselves.
    ///
    /// - Throws: `PKIError` when there is no CA, a CA's certificate can't be read, or a list names one of the CAs but is
    ///   not signed by it.
    package init(
        purpose: Purpose, authorities: [[UInt8]], lists: [RevocationList] = [], requiredNames: [PeerNamePattern] = [],
        verifiesChain: Bool = true, allowsExpired: Bool = false, acceptsOverdueLists: Bool = false
    ) throws(PKIError) {
        guard !verifiesChain || !authorities.isEmpty else { throw .noCertificate }
        let limit = Self.maximumAuthorities
        guard authorities.count <= limit else { throw .tooLarge("list of authorities", limit: "\(limit)") }
        guard requiredNames.count <= limit else { throw .tooLarge("list of required names", limit: "\(limit)") }
        guard lists.count <= RevocationList.maximumLists else {
            throw .tooLarge("number of revocation lists", limit: "\(RevocationList.maximumLists)")
        }
        var seen: Set<[UInt8]> = []
        self.authorities = try authorities.filter { seen.insert($0).inserted }.map { (der) throws(PKIError) in
            try CertificateHandle(der: der)
        }
        for list in lists { try Self.check(list, against: self.authorities) }
        self.lists = lists
        (self.purpose, self.requiredNames, self.verifiesChain) = (purpose, requiredNames, verifiesChain)
        (self.allowsExpired, self.acceptsOverdueLists) = (allowsExpired, acceptsOverdueLists)
        let flags = [verifiesChain, allowsExpired, acceptsOverdueLists].map { $0 ? UInt8(1) : 0 }
        digest = Self.digest(
            of: [
                [[purpose.rawValue] + flags], seen.map { OpenSSL.sha256($0.span) }, lists.map(\.digest),
                requiredNames.map { Array($0.labeledText.utf8) },
            ])
    }

    /// Verifies a list whose CA is among `authorities`. The list of a CA that only peers' chains contain is verified
    /// when such a chain arrives.
    private static func check(_ list: RevocationList, against authorities: [CertificateHandle]) throws(PKIError) {
        let known = authorities.filter { unsafe list.isIssued(by: X509_get_subject_name($0.handle)) }
        guard known.isEmpty || known.contains(where: { unsafe list.isSigned(by: $0.handle) }) else {
            throw RevocationList.malformed("the authority '\(list.issuer)' has not signed it, or may not sign lists")
        }
    }

    /// Hashes each part as a sorted set: its number of elements, then each element after its length.
    private static func digest(of parts: [[[UInt8]]]) -> [UInt8] {
        var bytes = Array("aegis peer rules".utf8)
        let count = { (number: Int) in (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) } }
        for part in parts {
            let elements = Set(part).sorted { $0.lexicographicallyPrecedes($1) }
            bytes += count(elements.count)
            for element in elements { bytes += count(element.count) + element }
        }
        return OpenSSL.sha256(bytes.span)
    }
}
