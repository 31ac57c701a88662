import PKI
import State

extension CertificateChain {
    /// Warnings about the certificates above the leaf. Each warning continues a sentence whose subject is the leaf.
    /// `now` is in seconds since 1970.
    func warnings(now: Int64) -> [String] {
        var warnings = certificates.dropFirst().compactMap { certificate in
            certificate.fault(now: now).map {
                $0 + (certificate.notAfter <= now ? "; put the CA's current one in its place" : "")
            }
        }
        // Clients are affected first by the certificate that ends first.
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

    /// A warning about an authority at the chain's end that is left out because it is not valid now. Roots are not
    /// reported here.
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

    /// Whether the chain contains a valid certificate with the root's key.
    private func isReissued(_ root: Certificate, now: Int64) -> Bool {
        certificates.dropFirst().contains { $0.publicKeyDER == root.publicKeyDER && $0.isValid(at: now) }
    }

    /// A warning about a leaf without an intermediate, which only clients accept that know its issuer; empty for any
    /// other chain.
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
    /// The reason why clients refuse chains with this authority; nil if they don't. `now` is in seconds since 1970.
    fileprivate func fault(now: Int64) -> String? {
        let thing = isSelfIssued ? "a root" : "an intermediate"
        if notAfter <= now { return "has \(thing) that has expired: '\(subject)' on \(UTCTime.text(notAfter))" }
        if notBefore > now {
            return "has \(thing) that is not valid yet: '\(subject)' begins on \(UTCTime.text(notBefore))"
        }
        return nil
    }

    /// The issuer's common name, in quotes for a message.
    var issuerShown: String { issuerCommonName.map { "'\($0)'" } ?? "its issuer" }
}

/// Finds stored chains that clients refuse because of the certificates above the leaf. Many chains have the same
/// certificates above the leaf, so each set of them is checked once.
package struct ChainFaults {
    private let now: Int64
    private var known: [ArraySlice<UInt8>: String?] = [:]

    /// Finds faults as of `now`, in seconds since 1970.
    package init(now: Int64) { self.now = now }

    /// The fault of a stored chain and advice, which continue a sentence; nil if there is none, or the leaf itself has
    /// expired. A missing intermediate is reported only for an operator's own certificate: Cloudflare knows the issuer
    /// of its origins' certificates, and a leaf from an ACME CA was checked for one when it was issued.
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
