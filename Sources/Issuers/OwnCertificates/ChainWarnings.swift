import ConfigModel
import PKI
import State

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
        // Clients reject the chain as soon as its first CA certificate expires, so only that CA certificate is
        // reported.
        if let first = certificates.dropFirst().filter({ $0.notAfter > now }).min(by: { $0.notAfter < $1.notAfter }),
            first.endsBefore(leaf)
        {
            warnings.append(
                "is valid until \(UTCTime.text(leaf.notAfter)), but above it '\(first.subject)' ends first, on"
                    + " \(UTCTime.text(first.notAfter))")
        }
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

    /// What is left out at the end of the chain, because it is not valid now, as a note in words that follow the
    /// certificate's name. Nil if nothing is. Most clients know another certificate in its place.
    func gap(now: Int64) -> String? {
        guard let missing = cutTail(now: now) ?? expiredRoots(now: now).first else { return nil }
        let thing = missing.isSelfIssued ? "root " : ""
        return "is shown without \(thing)'\(missing.subject)' at the end of its chain:"
            + " clients that know no other certificate of it refuse the certificate"
    }

    /// Expired roots above the leaf for which the chain has no valid certificate.
    private func expiredRoots(now: Int64) -> [Certificate] {
        leftOut.filter { $0.isSelfIssued && $0.notAfter <= now && !isReissued($0, now: now) }
    }

    /// An intermediate at the end of the chain that was left out because it is not valid now; nil if there is none. It
    /// is no root.
    private func cutTail(now: Int64) -> Certificate? {
        guard let last = certificates.last, certificates.count > 1, !last.isSelfIssued else { return nil }
        return leftOut.first { !$0.isSelfIssued && !$0.isValid(at: now) && last.isIssued(by: $0) }
    }

    /// Whether the chain contains a valid certificate with the root's key.
    private func isReissued(_ root: Certificate, now: Int64) -> Bool {
        certificates.dropFirst().contains { $0.publicKeyDER == root.publicKeyDER && $0.isValid(at: now) }
    }

    /// A warning if the leaf has no intermediate, since only clients that know the leaf's issuer accept it. Empty for
    /// other chains.
    var missingIntermediate: [String] {
        guard certificates.count == 1, !leaf.isSelfIssued else { return [] }
        let place = leaf.issuerAddress.map { " (\($0), mostly in DER: openssl x509 -inform der)" } ?? ""
        return [
            "has no intermediate: clients refuse it unless they know \(leaf.issuerShown);"
                + " add the certificate of that\(place), also where it is the root"
        ]
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

/// Finds stored chains that clients refuse. Many chains have the same CA certificates, and leaves of the same shape, so
/// each such pair is checked only once.
package struct ChainFaults {
    private let now: Int64
    private var known: [ArraySlice<UInt8>: String?] = [:]
    /// The CA certificates of chains that clients accept, and that constrain no names, with the shapes of the leaves.
    private var accepted: [ArraySlice<UInt8>: Set<[UInt8]>] = [:]

    /// Makes a check for the time `now`, in seconds since 1970.
    package init(now: Int64) { self.now = now }

    /// Returns the fault of a stored chain with advice, or nil. A message puts the certificate's name before the fault.
    /// Chains with an expired leaf have no fault here. A missing intermediate is a fault only in an operator's own
    /// chain: Cloudflare knows the issuer of its certificates, and chains from ACME CAs were checked when they were
    /// issued.
    package mutating func fault(of stored: StoredCertificate) -> String? {
        guard let end = PEM.endOfFirstBlock(in: stored.chain) else { return nil }
        let isOwn = stored.facts.source == .custom
        let fault =
            fault(ofAuthorities: stored.chain[end...]) ?? lastingFault(of: stored, stored.chain[end...])
        let isAlone = isOwn && stored.chain[end...].allSatisfy { $0 == UInt8(ascii: "\n") }
        guard fault != nil || isAlone, let chain = try? CertificateChain(pem: stored.chain), chain.leaf.notAfter > now
        else { return nil }
        guard let fault else { return chain.missingIntermediate.first }
        let advice =
            isOwn
            ? fault.hasPrefix("is ")
                ? "put another in its place in its file, and apply"
                : "put another in its place in its file, or take it out there, and apply"
            : "'aegis-apply renew \(stored.name) --force' asks for another"
        return "\(fault); \(advice)"
    }

    /// A fault of the leaf or the chain that does not depend on dates.
    private mutating func lastingFault(of stored: StoredCertificate, _ authorities: ArraySlice<UInt8>) -> String? {
        let shape = (try? PEM.firstCertificate(in: stored.chain)).flatMap(CertificateShape.of)
        if let shape, accepted[authorities]?.contains(shape) == true { return nil }
        guard let chain = try? CertificateChain(pem: stored.chain) else { return nil }
        if let fault = chain.refusal(now: now)?.lastingFault { return fault }
        if let shape, !chain.certificates.dropFirst().contains(where: \.constrainsNames) {
            accepted[authorities, default: []].insert(shape)
        }
        return nil
    }

    /// What the end of an operator's own chain lacks, as a note; nil if it lacks nothing. A stored chain does not have
    /// what was left out, but its file does, which `files` reads. A file that is not the one that was stored is ignored.
    package func gap(of stored: StoredCertificate, in files: SecretReader) -> String? {
        guard stored.facts.source == .custom,
            case .custom(let custom)? = NamedCertificate(record: stored.record)?.source,
            let text = try? files.read(custom.certificate), Digest.sha256(text) == stored.facts.sourceDigest
        else { return nil }
        return (try? CertificateChain(pem: text.plainCopy(), now: now))?.gap(now: now)
    }

    private mutating func fault(ofAuthorities pem: ArraySlice<UInt8>) -> String? {
        if let known = known[pem] { return known }
        let authorities = (try? PEM.certificates(in: Array(pem))) ?? []
        let fault = authorities.lazy.compactMap { [now] in (try? Certificate(der: $0))?.fault(now: now) }.first
        known[pem] = .some(fault)
        return fault
    }
}
