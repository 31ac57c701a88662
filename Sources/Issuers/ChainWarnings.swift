import PKI
import State

extension CertificateChain {
    /// What speaks against showing this to clients, beside the leaf itself: each is the rest of a sentence on the certificate.
    /// `now` is in seconds since 1970.
    func warnings(now: Int64) -> [String] {
        var warnings = certificates.dropFirst().compactMap { certificate in
            certificate.fault(now: now).map {
                $0 + (certificate.notAfter <= now ? "; put the CA's current one in its place" : "")
            }
        }
        // Of those that are to end, clients meet the first.
        if let first = certificates.dropFirst().filter({ $0.notAfter > now }).min(by: { $0.notAfter < $1.notAfter }),
            first.endsBefore(leaf)
        {
            warnings.append(
                "is valid until \(UTCTime.text(leaf.notAfter)), but above it '\(first.subject)' ends first, on"
                    + " \(UTCTime.text(first.notAfter))")
        }
        if let tail = cutTail(now: now) { return warnings + [tail] }
        for root in leftOut where root.isSelfIssued && root.notAfter <= now && !isReissued(root, now: now) {
            warnings.append(
                "leads to a root that has expired: '\(root.subject)' on \(UTCTime.text(root.notAfter));"
                    + " it is not shown, and clients that know no newer one refuse the certificate")
        }
        return warnings
    }

    /// What is said of an authority, no root by itself, that would stand at the end and is left out since it is not valid.
    private func cutTail(now: Int64) -> String? {
        guard let last = certificates.last, certificates.count > 1, !last.isSelfIssued,
            let next = leftOut.first(where: { !$0.isSelfIssued && !$0.isValid(at: now) && last.isIssued(by: $0) })
        else { return nil }
        let state =
            next.notAfter <= now
            ? "has expired on \(UTCTime.text(next.notAfter))" : "is not valid before \(UTCTime.text(next.notBefore))"
        return "is shown without '\(next.subject)' at the end of its chain, which \(state):"
            + " clients that know no other certificate of it refuse the certificate"
    }

    /// Whether the chain holds another certificate of a root's key that is valid.
    private func isReissued(_ root: Certificate, now: Int64) -> Bool {
        certificates.dropFirst().contains { $0.publicKeyDER == root.publicKeyDER && $0.isValid(at: now) }
    }

    /// What is said of a leaf alone, which only clients accept that know its issuer; empty for any other chain.
    var missingIntermediate: [String] {
        guard certificates.count == 1, !leaf.isSelfIssued else { return [] }
        let place = leaf.issuerAddress.map { " (\($0), mostly in DER: openssl x509 -inform der)" } ?? ""
        return [
            "has no intermediate: clients refuse it unless they know \(leaf.issuerShown);"
                + " add the certificate of that\(place), also where it is the root"
        ]
    }
}

extension Certificate {
    /// Why a chain is refused that has this authority in it; nil when it is not. `now` is in seconds since 1970.
    fileprivate func fault(now: Int64) -> String? {
        let thing = isSelfIssued ? "a root" : "an intermediate"
        if notAfter <= now { return "has \(thing) that has expired: '\(subject)' on \(UTCTime.text(notAfter))" }
        if notBefore > now {
            return "has \(thing) that is not valid yet: '\(subject)' begins on \(UTCTime.text(notBefore))"
        }
        return nil
    }

    /// Its issuer's common name as a line shows it.
    var issuerShown: String { issuerCommonName.map { "'\($0)'" } ?? "its issuer" }
}

/// Finds stored chains that clients refuse for what stands above the leaf. Very many certificates share that, so it is read once.
package struct ChainFaults {
    private let now: Int64
    private var known: [ArraySlice<UInt8>: String?] = [:]

    /// Faults as of `now`, in seconds since 1970.
    package init(now: Int64) { self.now = now }

    /// What is wrong with a stored chain, and what to do about it, as the rest of a sentence; nil for nothing, or where it is its leaf
    /// that has expired. That a leaf stands alone is told of an operator's own: Cloudflare knows who issues its origins' certificates,
    /// and a CA's is refused unless its issuer is trusted.
    package mutating func fault(of stored: StoredCertificate) -> String? {
        guard let end = PEM.endOfFirstBlock(in: stored.chain) else { return nil }
        let isOwn = stored.facts.source == .custom
        let fault = fault(ofAuthorities: stored.chain[end...])
        let isAlone = isOwn && stored.chain[end...].allSatisfy { $0 == UInt8(ascii: "\n") }
        guard fault != nil || isAlone, let chain = try? CertificateChain(pem: stored.chain), chain.leaf.notAfter > now
        else { return nil }
        guard let fault else { return chain.missingIntermediate.first }
        let advice =
            isOwn
            ? "put another in its place in its file, or take it out there, and apply"
            : "'aegis-apply renew \(stored.name) --force' asks for another"
        return "\(fault); \(advice)"
    }

    private mutating func fault(ofAuthorities pem: ArraySlice<UInt8>) -> String? {
        if let known = known[pem] { return known }
        let authorities = (try? PEM.certificates(in: Array(pem))) ?? []
        let fault = authorities.lazy.compactMap { [now] in (try? Certificate(der: $0))?.fault(now: now) }.first
        known[pem] = .some(fault)
        return fault
    }
}
