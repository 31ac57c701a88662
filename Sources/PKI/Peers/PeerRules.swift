import COpenSSL
import PeerNames

/// The rules for peers' certificates. All threads share one value.
///
/// A certificate is accepted if it:
/// - has a chain to one of the CAs, of at most `PeerTrust.maximumCertificates`;
/// - is valid now, and allows the use as a client's (or a server's) certificate;
/// - has one of the required names, if there are any;
/// - is on no revocation list of its issuer.
///
/// Each key in the chain must be Ed25519, or at least RSA 2048 or EC 256. Each signature must use SHA-256 or better,
/// except the signature of the trusted certificate itself.
package struct PeerRules: Sendable {
    /// Whether the peers are clients or servers.
    package enum Purpose: UInt8, Sendable {
        /// The peer is a client of the gateway. If its certificate has extended key usages, clientAuth must be one of
        /// them.
        case client
        /// The peer is a server that Aegis connects to. If its certificate has extended key usages, serverAuth must be
        /// one of them.
        case server
    }

    package let purpose: Purpose
    /// The name patterns. At least one of them must match a name in the certificate. Empty means that any name is
    /// accepted.
    package let requiredNames: [PeerNamePattern]
    /// Whether a certificate needs a chain to one of the CAs. If false, anybody can make an accepted certificate with
    /// any name. So false is only for tests.
    package let verifiesChain: Bool
    /// Whether expired certificates are accepted, including those of CAs. Meant for tests and migrations.
    package let allowsExpired: Bool
    /// Whether a revocation list past its next update is still accepted. Certificates on such a list count as revoked.
    package let acceptsOverdueLists: Bool
    /// The SHA-256 of all rules, 32 bytes. The order of CAs, lists and names does not matter. TLS sessions are bound to
    /// the digest, so a session can't be resumed under different rules.
    package let digest: [UInt8]

    /// Whether the system's CAs are trusted too.
    package let trustsSystem: Bool

    let authorities: [CertificateHandle]
    let lists: [RevocationList]

    /// The maximum number of CAs, and of required names.
    package static let maximumAuthorities = 1000

    /// Makes rules. `authorities` are certificates in DER: of roots, of intermediate CAs, or of peers themselves.
    ///
    /// - Throws: `PKIError` if there is no CA, if a CA certificate can't be read, or if a list has the name of one of
    /// the CAs but no signature of that CA.
    package init(
        purpose: Purpose, authorities: [[UInt8]], lists: [RevocationList] = [], requiredNames: [PeerNamePattern] = [],
        verifiesChain: Bool = true, allowsExpired: Bool = false, acceptsOverdueLists: Bool = false,
        trustsSystem: Bool = false
    ) throws(PKIError) {
        guard !verifiesChain || trustsSystem || !authorities.isEmpty else { throw .noCertificate }
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
        self.trustsSystem = trustsSystem
        let flags = [verifiesChain, allowsExpired, acceptsOverdueLists, trustsSystem].map { $0 ? UInt8(1) : 0 }
        digest = Self.digest(
            of: [
                [[purpose.rawValue] + flags], seen.map { OpenSSL.sha256($0.span) }, lists.map(\.digest),
                requiredNames.map { Array($0.labeledText.utf8) },
            ])
    }

    /// Makes rules for servers whose certificates must come from the CAs in a PEM text.
    ///
    /// - Throws: `PKIError` if the text has no certificate, or one that can't be read.
    package init(serversOf authorities: [UInt8]) throws(PKIError) {
        try self.init(purpose: .server, authorities: PEM.certificates(in: authorities))
    }

    /// When a revocation list next begins or becomes overdue after `time`; `max` if none does. Certificates that were
    /// accepted before may be refused from then on. Both times are in seconds since 1970.
    package func nextTurnOfLists(after time: Int64) -> Int64 {
        var earliest = Int64.max
        for list in lists {
            if list.beginning > time { earliest = min(earliest, list.beginning) }
            if !acceptsOverdueLists, let end = list.nextUpdate, end > time { earliest = min(earliest, end) }
        }
        return earliest
    }

    /// The lists whose issuer is not one of the CAs. Such a list is used only if the issuer is an intermediate CA whose
    /// certificate a peer sends with its own.
    package var foreignLists: [RevocationList] {
        lists.filter { list in
            !authorities.contains { unsafe list.isIssued(by: X509_get_subject_name($0.handle)) }
        }
    }

    /// Why the lists can't be used with the CAs: a list has the name of one of the CAs but no signature of that
    /// CA. Nil if the lists can be used.
    package func fault(of lists: [RevocationList]) -> PKIError? {
        do throws(PKIError) {
            for list in lists { try Self.check(list, against: authorities) }
            return nil
        } catch {
            return error
        }
    }

    /// Why none of the CAs can be used at `now` (in seconds since 1970), so that every peer would be refused. An
    /// example is that the only CA has expired. Nil if one of the CAs can be used.
    package func reasonForNoAuthority(at now: Int64) -> String? {
        guard verifiesChain, !trustsSystem else { return nil }
        var reason: String?
        for authority in authorities {
            guard let fault = unsafe fault(of: authority.handle, at: now) else { return nil }
            let subject = unsafe PeerCertificate.text(of: X509_get_subject_name(authority.handle))
            let refusal = PeerRefusal(fault.reason, depth: 1, authority: subject, detail: fault.detail)
            reason = reason ?? refusal.description
        }
        return reason
    }

    /// Why no chain can end at a CA (an `X509`). Nil if a chain can.
    private func fault(of authority: OpaquePointer, at now: Int64) -> PeerFault? {
        do throws(PeerFault) {
            guard let notBefore = unsafe OpenSSL.seconds(X509_get0_notBefore(authority)),
                let notAfter = unsafe OpenSSL.seconds(X509_get0_notAfter(authority))
            else { throw PeerFault(.unreadable) }
            guard notBefore <= now else { throw PeerFault(.notYetValid) }
            guard allowsExpired || now < notAfter else { throw PeerFault(.expired) }
            try unsafe PeerJudge.checkKey(of: authority, depth: 1)
            return nil
        } catch {
            return error
        }
    }

    /// Verifies a list if its CA is in `authorities`. Other lists are verified in handshakes, when a peer sends the
    /// CA's certificate.
    private static func check(_ list: RevocationList, against authorities: [CertificateHandle]) throws(PKIError) {
        let known = authorities.filter { unsafe list.isIssued(by: X509_get_subject_name($0.handle)) }
        guard known.isEmpty || known.contains(where: { unsafe list.isSigned(by: $0.handle) }) else {
            throw RevocationList.malformed("the authority '\(list.issuer)' has not signed it, or may not sign lists")
        }
    }

    /// Hashes the parts. A part is hashed as a sorted set: the number of elements, then the length and bytes of each
    /// element.
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
