/// The ways from a leaf up through the certificates that stand beside it, and the best of them (RFC 4158).
///
/// A certificate may have twins: the same authority, renewed or signed by another one. Clients take the chain as it is shown, so
/// one that is over must not stand where its twin would do.
struct ChainSearch {
    /// The leaf first; what is not above it is left out.
    private let certificates: [Certificate]
    /// Of each certificate, those that have issued it, the ones to be preferred first.
    private let issuers: [[Int]]
    private let qualities: [Quality]
    /// Whether each certificate, or one above it, is valid. Of the others clients have no use at the end of a chain.
    private let leadsToValid: [Bool]

    /// How long a certificate serves the leaf.
    private struct Quality: Comparable, Hashable {
        let isValid: Bool
        let end: Int64

        static func < (left: Quality, right: Quality) -> Bool {
            left.isValid == right.isValid ? left.end < right.end : right.isValid
        }
    }

    /// So many steps are tried for each quality; real chains take a dozen.
    private static let maximumSteps = 1000

    /// Finds the issuers of each certificate. `all` are distinct and bounded in number. Without `now`, in seconds since 1970,
    /// only their ends tell twins apart.
    init(from leaf: Certificate, among all: [Certificate], now: Int64?) {
        var certificates = [leaf]
        var rest = all.filter { $0 != leaf }
        var issuers: [[Int]] = []
        // Each round looks at one certificate that is above the leaf; its issuers are too.
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
            // Of the same quality a root comes last, since it ends the chain; else they stay as they were given.
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
        // Each round but the last finds one more.
        while let next = leads.indices.first(where: { index in
            !leads[index] && !certificates[index].isSelfIssued && issuers[index].contains { leads[$0] }
        }) {
            leads[next] = true
        }
        return leads
    }

    /// Whether a certificate is the leaf or above it.
    func contains(_ certificate: Certificate) -> Bool { certificates.contains(certificate) }

    /// The chain whose worst certificate is the best: it goes up to a root, or as far as there are certificates. Where that would
    /// leave it with one that is not valid, and all is valid below those at its end, it ends there: an authority above an
    /// intermediate mostly has a root of its own, which clients know.
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
            // A root is for clients to know: above an intermediate, one that is over is of no use to them. And a key that has
            // its place already leads in a circle.
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
