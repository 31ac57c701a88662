/// Finds the best chain from a leaf upwards among the given certificates (RFC 4158).
///
/// A CA may have several certificates with the same key, for example after a renewal or a cross-signature. Clients
/// verify the chain that the server sends. So the chain must not contain an expired certificate of a CA if the CA also
/// has a valid certificate.
struct ChainSearch {
    /// The leaf first, then all certificates above the leaf. Unrelated certificates are not in the list.
    private let certificates: [Certificate]
    /// For each certificate, the indices of its issuers' certificates, the best first.
    private let issuers: [[Int]]
    private let qualities: [Quality]
    /// For each certificate, whether it or a certificate above it is valid. If not, the certificate is useless at the
    /// end of a chain.
    private let leadsToValidCertificate: [Bool]

    /// How good a certificate is: whether it is valid, and for how much of the leaf's lifetime.
    private struct Quality: Comparable, Hashable {
        let isValid: Bool
        let end: Int64

        static func < (left: Quality, right: Quality) -> Bool {
            left.isValid == right.isValid ? left.end < right.end : right.isValid
        }
    }

    /// The maximum number of steps of one search. A real chain takes about a dozen.
    private static let maximumSteps = 1000

    /// Finds the issuers of each certificate. `all` must not contain duplicates, and callers bound its size. `now` is
    /// in seconds since 1970. If `now` is nil, all certificates count as valid, and only their expiry decides.
    ///
    /// - Throws: `PKIError.tooLarge` if there are more than `CertificateChain.maximumCertificates` above the leaf.
    init(from leaf: Certificate, among all: [Certificate], now: Int64?) throws(PKIError) {
        var certificates = [leaf]
        var rest = all.filter { $0 != leaf }
        var issuers: [[Int]] = []
        // The list grows while the loop runs. Each round takes the next certificate, the leaf first, and appends its
        // issuers.
        while issuers.count < certificates.count {
            let child = certificates[issuers.count]
            let above = rest.filter(child.isIssued)
            rest.removeAll(where: above.contains)
            let known = certificates.indices.filter {
                $0 != issuers.count && $0 > 0 && child.isIssued(by: certificates[$0])
            }
            issuers.append(known + above.indices.map { certificates.count + $0 })
            certificates += above
            // Each comparison of two certificates may verify a signature, which is slow.
            guard certificates.count <= CertificateChain.maximumCertificates else {
                throw .tooLarge("chain", limit: "\(CertificateChain.maximumCertificates) certificates")
            }
        }
        let qualities = certificates.map { certificate in
            Quality(
                isValid: now.map(certificate.isValid) ?? true,
                end: certificate.endsBefore(leaf) ? certificate.notAfter : leaf.notAfter)
        }
        let order = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1, $0) })
        self.certificates = certificates
        self.qualities = qualities
        leadsToValidCertificate = Self.leadsToValidCertificate(certificates, qualities, issuers)
        self.issuers = issuers.map { indices in
            // Among issuers of equal quality a root comes last, since a root ends the chain. Otherwise the order of the
            // input decides.
            indices.sorted { left, right in
                if qualities[left] != qualities[right] { return qualities[left] > qualities[right] }
                let (first, second) = (certificates[left], certificates[right])
                if first.isSelfIssued != second.isSelfIssued { return second.isSelfIssued }
                return (order[first] ?? 0) < (order[second] ?? 0)
            }
        }
    }

    private static func leadsToValidCertificate(
        _ certificates: [Certificate], _ qualities: [Quality], _ issuers: [[Int]]
    ) -> [Bool] {
        var leads = qualities.map(\.isValid)
        // Each round marks one more certificate whose issuer leads to a valid certificate. The loop ends when there is
        // no unmarked certificate of this kind.
        while let next = leads.indices.first(where: { index in
            !leads[index] && !certificates[index].isSelfIssued && issuers[index].contains { leads[$0] }
        }) {
            leads[next] = true
        }
        return leads
    }

    /// Whether a certificate is the leaf or above the leaf.
    func contains(_ certificate: Certificate) -> Bool { certificates.contains(certificate) }

    /// Returns the best chain: its worst certificate (the leaf aside) is better than the worst of every other chain.
    /// The chain ends with a root, or where the given certificates end. If no such chain is entirely valid, the invalid
    /// certificates at its end are left out, since most clients know another path from there to a root.
    func best() -> [Certificate] {
        let worsts = Set(qualities.dropFirst()).sorted(by: >)
        for (cutsTail, allValid) in [(false, true), (true, true), (false, false)] {
            for worst in worsts where worst.isValid || !allValid {
                var steps = Self.maximumSteps
                if let path = path(from: [0], atLeast: worst, cutsTail, &steps) { return path.map { certificates[$0] } }
            }
        }
        return [certificates[0]]
    }

    private func path(from path: [Int], atLeast worst: Quality, _ cutsTail: Bool, _ steps: inout Int) -> [Int]? {
        guard let last = path.last, !certificates[last].isSelfIssued else { return path }
        let next = issuers[last].filter { issuer in
            // An expired root above an intermediate is left out, since clients have their own copy of the root. A
            // certificate whose key is already in the path is skipped, since it would make a loop.
            (leadsToValidCertificate[issuer] || !(cutsTail || certificates[issuer].isSelfIssued) || path.count == 1)
                && !path.dropFirst().contains { certificates[$0].publicKeyDER == certificates[issuer].publicKeyDER }
        }
        if next.isEmpty { return path }
        for issuer in next where qualities[issuer] >= worst {
            steps -= 1
            guard steps > 0 else { return nil }
            if let whole = self.path(from: path + [issuer], atLeast: worst, cutsTail, &steps) { return whole }
        }
        return nil
    }
}
