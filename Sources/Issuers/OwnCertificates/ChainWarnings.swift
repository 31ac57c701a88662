import ConfigModel
import PKI
import State
import SystemPackage

extension CertificateChain {
    /// Warnings about the certificates above the leaf. A message puts the leaf's name before each warning. `refusal` is
    /// what `refusal(now:)` has returned. `now` is in seconds since 1970.
    func warnings(_ refusal: PeerRefusal?, now: Int64) -> [String] {
        var warnings = certificates.dropFirst().compactMap { certificate in
            certificate.fault(now: now).map {
                $0 + (certificate.notAfter <= now ? "; put the CA's current one in its place" : "")
            }
        }
        if let refusal, !refusal.isOfLeaf, let fault = refusal.lastingFault { warnings.append(fault) }
        warnings += earlyEnd(now: now)
        if let tail = cutTail(now: now) {
            let state =
                tail.notAfter <= now
                ? "has expired on \(UTCTime.text(tail.notAfter))"
                : "is not valid before \(UTCTime.text(tail.notBefore))"
            warnings.append(
                "is shown without '\(tail.subject)' at the end of its chain, which \(state):"
                    + " clients that know no other certificate of it refuse the certificate")
            return warnings
        }
        return warnings
            + expiredRoots(now: now).map { root in
                "leads to a root that has expired: '\(root.subject)' on \(UTCTime.text(root.notAfter));"
                    + " it is not shown, and clients that know no newer one refuse the certificate"
            }
    }

    /// A warning if a CA certificate ends before the leaf. Clients reject the chain as soon as its first CA certificate
    /// expires, so only that CA certificate is reported.
    fileprivate func earlyEnd(now: Int64) -> [String] {
        guard
            let first = certificates.dropFirst().filter({ $0.notAfter > now })
                .min(by: { $0.notAfter < $1.notAfter }), first.endsBefore(leaf)
        else { return [] }
        return [
            "is valid until \(UTCTime.text(leaf.notAfter)), but above it '\(first.subject)' ends first, on"
                + " \(UTCTime.text(first.notAfter))"
        ]
    }

    /// A note about a certificate that is left out at the end of the chain because it is not valid now. Nil if none is
    /// left out. Most clients know another certificate in its place. A message puts the leaf's name before the note.
    func gap(now: Int64) -> String? {
        guard let missing = cutTail(now: now) ?? expiredRoots(now: now).first else { return nil }
        let thing = missing.isSelfIssued ? "root " : ""
        return "is shown without \(thing)'\(missing.subject)' at the end of its chain:"
            + " clients that know no other certificate of it refuse the certificate"
    }

    /// Expired roots above the leaf. A root is not in the list if the chain has a valid certificate with the root's
    /// key.
    private func expiredRoots(now: Int64) -> [Certificate] {
        leftOut.filter { $0.isSelfIssued && $0.notAfter <= now && !isReissued($0, now: now) }
    }

    /// The intermediate that was left out at the end of the chain because it is not valid now. Nil if there is none.
    private func cutTail(now: Int64) -> Certificate? {
        guard let last = certificates.last, certificates.count > 1, !last.isSelfIssued else { return nil }
        return leftOut.first { !$0.isSelfIssued && !$0.isValid(at: now) && last.isIssued(by: $0) }
    }

    /// Whether the chain contains a valid certificate with the root's key.
    private func isReissued(_ root: Certificate, now: Int64) -> Bool {
        certificates.dropFirst().contains { $0.publicKeyDER == root.publicKeyDER && $0.isValid(at: now) }
    }

    /// A warning if a CA certificate is missing: the leaf has no intermediate, or the chain ends with an intermediate
    /// whose issuer is unknown. Only clients that know the missing issuer accept such a chain. Nil for other chains.
    /// `isKnown` returns whether the issuer of a chain's last certificate is known.
    ///
    /// A chain may also be complete although its root is known to its clients only. So an intermediate with an unknown
    /// issuer causes a warning only if it names the address of its issuer's certificate.
    func missingIntermediate(isKnown: (CertificateChain) -> Bool) -> String? {
        guard let last = certificates.last, !last.isSelfIssued else { return nil }
        if certificates.count == 1 {
            return isKnown(self) ? nil : "has no intermediate: clients refuse it unless they know \(leaf.issuerShown)"
        }
        guard last.issuerAddress != nil, !leftOut.contains(where: last.isIssued), !isKnown(self) else { return nil }
        return "has no certificate of \(last.issuerShown) above '\(last.subject)', and this machine knows none:"
            + " clients refuse it unless they do"
    }

    /// The warning of `missingIntermediate` for a chain from an operator's file, with advice.
    var gapInFile: String? {
        let address = certificates.last?.issuerAddress
        let place = address.map { "; it is at \($0): if it is DER, convert it by 'openssl x509 -inform der'" } ?? ""
        return missingIntermediate { $0.certificates.count > 1 && Certificate.isKnownToSystem($0.certificates) }.map {
            "\($0); add the certificate of that issuer, even if it is a root\(place)"
        }
    }

    /// The warning of `missingIntermediate` for a chain from a CA, with the address of the missing certificate.
    func gap(isKnown: (CertificateChain) -> Bool) -> String? {
        missingIntermediate(isKnown: isKnown).map { $0 + (certificates.last?.issuerAddress.map { " (\($0))" } ?? "") }
    }
}

extension PeerRefusal {
    /// The refusal in words that follow the certificate's name; nil if it depends on dates.
    fileprivate var lastingFault: String? {
        if reason == .expired || reason == .notYetValid { return nil }
        return isOfLeaf ? "is one that clients refuse: \(self)" : "has a chain that clients refuse: \(self)"
    }
}

extension Certificate {
    /// Whether a CA certificate may have name constraints (RFC 5280 section 4.2.1.10). True if the bytes of their
    /// object identifier occur anywhere in it.
    fileprivate var constrainsNames: Bool { !der.ranges(of: [0x06, 0x03, 0x55, 0x1D, 0x1E]).isEmpty }

    /// Returns a warning if this CA certificate is not valid now, since clients reject chains with it. Otherwise
    /// returns nil. `now` is in seconds since 1970.
    fileprivate func fault(now: Int64) -> String? {
        let thing = isSelfIssued ? "a root" : "an intermediate"
        if notAfter <= now { return "has \(thing) that has expired: '\(subject)' on \(UTCTime.text(notAfter))" }
        if notBefore > now {
            return "has \(thing) that is not valid yet: '\(subject)' begins on \(UTCTime.text(notBefore))"
        }
        return nil
    }

    /// The issuer's common name in quotes, for messages.
    var issuerShown: String { issuerCommonName.map { "'\($0)'" } ?? "its issuer" }
}

/// Finds stored chains that clients refuse, or will refuse. `status`, plans and `renew` use this type. Many chains have
/// the same CA certificates, and leaves of the same shape (`CertificateShape`), so each such pair is checked only once.
package struct ChainFaults {
    private let now: Int64
    /// Returns the certificates in the `ca_file` of a CA's issuers. The argument is the CA's
    /// `CertificateFacts.directory`.
    private let trusted: (String) -> [Certificate]
    /// The CA certificates of the chains seen so far. `places` has their indices by PEM text. The text is a String,
    /// since Strings are hashed and compared fast.
    private var known: [Authorities] = []
    private var places: [String: Int] = [:]
    /// The earlier results of `trusted`, by their argument.
    private var trustedOf: [String: [Certificate]] = [:]

    /// The CA certificates of a chain, and the findings about them.
    private struct Authorities {
        let certificates: [Certificate]
        let fault: String?
        /// The earliest end among them, in seconds since 1970.
        let end: Int64
        /// The shapes of leaves that clients accept below these CA certificates. Empty if the CA certificates have name
        /// constraints, since the leaf's names matter then.
        var accepted: Set<[UInt8]> = []
        /// Whether this machine knows a root above these CA certificates. Nil until the root is looked up.
        var isKnownToSystem: Bool?
    }

    /// Makes a check for the time `now`, in seconds since 1970. `trusted` returns the CA certificates of the `ca_file`
    /// of the issuers with that directory.
    package init(now: Int64, trusted: @escaping (String) -> [Certificate]) {
        (self.now, self.trusted) = (now, trusted)
    }

    /// Makes a check for the time `now` that takes the issuers, and the directory of their files, from a state.
    package init(now: Int64, of store: any StateStore) throws {
        let reader = SecretReader(directory: FilePath(try store.directory() ?? "."))
        let issuers = try store.items(of: .issuer).compactMap { Issuer(record: $0.item.record) }
        self.init(now: now) { reader.authorities(of: issuers, for: $0) }
    }

    /// Returns the fault of a stored chain with advice, or nil. A message puts the certificate's name before the fault.
    /// The result is nil for chains with an expired leaf.
    ///
    /// A missing intermediate is a fault only in chains from operators, and in chains from ACME CAs unless the issuer's
    /// `ca_file` has the certificate that issued the leaf. Cloudflare's edge knows the Origin CA without a chain, and
    /// Vault sends all intermediates.
    package mutating func fault(of stored: StoredCertificate) -> String? {
        guard let end = PEM.endOfFirstBlock(in: stored.chain) else { return nil }
        let place = place(ofAuthorities: stored.chain[end...])
        let fault = known[place].fault ?? lastingFault(of: stored, end, place)
        let isAlone = known[place].certificates.isEmpty && [.custom, .letsencrypt].contains(stored.facts.source)
        guard fault != nil || isAlone, let chain = try? CertificateChain(pem: stored.chain), chain.leaf.notAfter > now
        else { return nil }
        guard let fault else { return missing(stored, chain) }
        return fault + Self.advice(for: stored, canTakeOut: !fault.hasPrefix("is "))
    }

    /// Returns a note about a stored chain that has no fault now: a CA certificate ends before the leaf, or only some
    /// clients refuse the chain. Nil if there is nothing to report.
    package mutating func doubt(of stored: StoredCertificate) -> String? {
        guard let end = PEM.endOfFirstBlock(in: stored.chain), stored.facts.expiresAt > now else { return nil }
        let place = place(ofAuthorities: stored.chain[end...])
        let isCut = isCut(place)
        // The end of a stored certificate is the earliest end in its chain.
        let mayEndEarly = known[place].end <= stored.facts.expiresAt
        guard isCut || mayEndEarly && endsEarly(stored, end, place),
            let chain = try? CertificateChain(pem: stored.chain)
        else { return nil }
        return chain.earlyEnd(now: now).first ?? (isCut ? missing(stored, chain) : nil)
    }

    private func endsEarly(_ stored: StoredCertificate, _ end: Int, _ place: Int) -> Bool {
        guard let der = PEM.firstCertificate(in: stored.chain, endingAt: end),
            let validity = Certificate.validity(of: der)
        else { return true }
        return known[place].certificates.contains { $0.endsBefore(validity) }
    }

    /// Whether a CA certificate is probably missing above these ones: the last one names the address of its issuer's
    /// certificate, but none of the system's roots is above it.
    private mutating func isCut(_ place: Int) -> Bool {
        let certificates = known[place].certificates
        guard let last = certificates.last, !last.isSelfIssued, last.issuerAddress != nil else { return false }
        let isKnown = known[place].isKnownToSystem ?? Certificate.isKnownToSystem(certificates)
        known[place].isKnownToSystem = isKnown
        return !isKnown
    }

    /// The warning that a CA certificate is missing, with advice.
    private mutating func missing(_ stored: StoredCertificate, _ chain: CertificateChain) -> String? {
        switch stored.facts.source {
        case .custom: return chain.gapInFile
        case .letsencrypt:
            let directory = stored.facts.directory
            let authorities = trustedOf[directory] ?? trusted(directory)
            trustedOf[directory] = authorities
            let isKnown = chain.isIssued(byOneOf: authorities)
            return chain.gap { _ in isKnown }.map { $0 + Self.advice(for: stored, canTakeOut: false) }
        case .cloudflareOrigin, .localCA, .vaultPKI: return nil
        }
    }

    private static func advice(for stored: StoredCertificate, canTakeOut: Bool) -> String {
        guard stored.facts.source == .custom else {
            return "; 'aegis-apply renew \(stored.name) --force' asks for another"
        }
        return canTakeOut
            ? "; put another in its place in its file, or take it out there, and apply"
            : "; put another in its place in its file, and apply"
    }

    /// A fault of the leaf or the chain that does not depend on dates.
    private mutating func lastingFault(of stored: StoredCertificate, _ end: Int, _ place: Int) -> String? {
        let shape = PEM.firstCertificate(in: stored.chain, endingAt: end).flatMap(CertificateShape.of)
        if let shape, known[place].accepted.contains(shape) { return nil }
        guard let chain = try? CertificateChain(pem: stored.chain) else { return nil }
        if let fault = chain.refusal(now: now)?.lastingFault { return fault }
        if let shape, !known[place].certificates.contains(where: \.constrainsNames) {
            known[place].accepted.insert(shape)
        }
        return nil
    }

    /// A note about certificates that were left out at the end of an operator's own chain; nil if there are none. They
    /// are only in the chain's file, which `files` reads. A file that has changed since it was stored is ignored.
    package func gap(of stored: StoredCertificate, in files: SecretReader) -> String? {
        guard stored.facts.source == .custom,
            case .custom(let custom)? = NamedCertificate(record: stored.record)?.source,
            let text = try? files.read(custom.certificate), Digest.sha256(text) == stored.facts.sourceDigest
        else { return nil }
        return (try? CertificateChain(pem: text.plainCopy(), now: now))?.gap(now: now)
    }

    private mutating func place(ofAuthorities pem: ArraySlice<UInt8>) -> Int {
        let text = String(decoding: pem, as: UTF8.self)
        if let place = places[text] { return place }
        let certificates = ((try? PEM.certificates(in: Array(pem))) ?? []).compactMap { try? Certificate(der: $0) }
        known.append(
            Authorities(
                certificates: certificates,
                fault: certificates.lazy.compactMap { [now] in $0.fault(now: now) }.first,
                end: certificates.reduce(.max) { min($0, $1.notAfter) }))
        places[text] = known.count - 1
        return known.count - 1
    }
}

extension CertificateChain {
    /// Whether one of these CA certificates has issued a certificate of the chain.
    func isIssued(byOneOf authorities: [Certificate]) -> Bool {
        authorities.contains { authority in certificates.contains { $0.isIssued(by: authority) } }
    }
}

extension SecretReader {
    /// The CA certificates in the `ca_file` of the issuers that have this directory, as far as they can be read.
    package func authorities(of issuers: [Issuer], for directory: String) -> [Certificate] {
        let files = issuers.filter { $0.provider.directory == directory }.compactMap(\.settings.caFile)
        return files.flatMap { file in
            let pem = try? read(Secret(.file(file))).plainCopy()
            return (pem.flatMap { try? PEM.certificates(in: $0) } ?? []).compactMap { try? Certificate(der: $0) }
        }
    }
}
