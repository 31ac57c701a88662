/// Finds the best path from a leaf up through the certificates that were given with it (RFC 4158).
///
/// An authority may have twin certificates: renewed, or signed by another authority. Clients use the chain as it is
/// shown to them, so an expired certificate must not stand where its twin would do.
struct ChainSearch {
    /// The leaf, then every certificate above it; all others are left out.
    private let certificates: [Certificate]
    /// For each certificate, the indices of its issuers, the best first.
    private let issuers: [[Int]]
    private let qualities: [Quality]
    /// For each certificate, whether it or one above it is valid. At the end of a chain, a certificate for which this
    /// is false is of no use to clients.
    private let leadsToValid: [Bool]

    /// Whether a certificate is valid, and for how much of the leaf's lifetime.
    private struct Quality: Comparable, Hashable {
        let isValid: Bool
        let end: Int64

        static func < (left: Quality, right: Quality) -> Bool {
            left.isValid == right.isValid ? left.end < right.end : right.isValid
        }
    }

    /// The most steps tried for each quality; real chains take a dozen.
    private static let maximumSteps = 1000

    /// Finds the issuers of each certificate. `all` must be distinct and bounded in number. `now` is in seconds since
    /// 1970; without `now`, twins are told apart by their ends alone.
    init(from leaf: Certificate, among all: [Certificate], now: Int64?) {
        var certificates = [leaf]
        var rest = all.filter { $0 != leaf }
        var issuers: [[Int]] = []
        // Each round takes the next known certificate, first the leaf, and adds its issuers.
        while issuers.count < certificates.count {
            let child = certificates[issuers.count]
            let above = rest.filter(child.isIssued)
            rest.removeAll(where: above.contains)
            let known = certificates.indices.filter {
                $0 != issuers.count && $0 > 0 && child.isIssued(by: certificates[$0])
            }
            issuers.append(known + above.indices.map { certificates.count + $0 })
            certificates += above
        }
        let qualities = certificates.map { certificate in
            Quality(
                isValid: now.map(certificate.isValid) ?? true,
                end: certificate.endsBefore(leaf) ? certificate.notAfter : leaf.notAfter)
        }
        let order = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1, $0) })
        self.certificates = certificates
        self.qualities = qualities
        leadsToValid = Self.leadsToValid(certificates, qualities, issuers)
        self.issuers = issuers.map { indices in
            // Among issuers of the same quality a root comes last, since it ends the chain. The others keep the order
            // of the input.
            indices.sorted { left, right in
                if qualities[left] != qualities[right] { return qualities[left] > qualities[right] }
                let (first, second) = (certificates[left], certificates[right])
                if first.isSelfIssued != second.isSelfIssued { return second.isSelfIssued }
                return (order[first] ?? 0) < (order[second] ?? 0)
            }
        }
    }

    private static func leadsToValid(
        _ certificates: [Certificate], _ qualities: [Quality], _ issuers: [[Int]]
    ) -> [Bool] {
        var leads = qualities.map(\.isValid)
        // Each round but the last finds one more certificate that leads to a valid one.
        while let next = leads.indices.first(where: { index in
            !leads[index] && !certificates[index].isSelfIssued && issuers[index].contains { leads[$0] }
        }) {
            leads[next] = true
        }
        return leads
    }

    /// Whether a certificate is the leaf or above it.
    func contains(_ certificate: Certificate) -> Bool { certificates.contains(certificate) }

    /// The path whose worst certificate is better than that of any other path. It goes up to a root, or as far as the
    /// given certificates lead. Invalid certificates at its end are cut off if all below them are valid: most clients
    /// know another way from there to a root.
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
            // An expired root above an intermediate is of no use, since clients have their own copy of roots. A key
            // that is already in the path would lead in a circle.
            (leadsToValid[issuer] || !(cutsTail || certificates[issuer].isSelfIssued) || path.count == 1)
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
