import PKI
import State

extension CertificateChain {
    /// What speaks against showing this to clients, beside the leaf itself: each is the rest of a sentence on the certificate.
    /// `now` is in seconds since 1970.
    func warnings(now: Int64) -> [String] {
        var warnings: [String] = []
        for certificate in certificates.dropFirst() {
            let thing = certificate.isSelfIssued ? "a root" : "an intermediate"
            if certificate.notAfter <= now {
                warnings.append(
                    "has \(thing) that has expired: '\(certificate.subject)' on \(UTCTime.text(certificate.notAfter));"
                        + " put the CA's current one in its place")
            } else if certificate.notBefore > now {
                warnings.append(
                    "has \(thing) that is not valid yet: '\(certificate.subject)' begins on"
                        + " \(UTCTime.text(certificate.notBefore))")
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
                + " add the certificate of that\(place)"
        ]
    }
}

extension Certificate {
    /// Its issuer's common name as a line shows it.
    var issuerShown: String { issuerCommonName.map { "'\($0)'" } ?? "its issuer" }
}
