/// A leaf and the authorities above it, each issued by the next; a root at the end may stand or not.
package struct CertificateChain: Sendable, Hashable {
    /// From the leaf up; at least one.
    package let certificates: [Certificate]

    /// What was given and is above the leaf too, but is not shown, in the order it was given.
    package let leftOut: [Certificate]

    /// The certificate that the names and the key belong to.
    package var leaf: Certificate { certificates[0] }

    /// All of it as PEM, the leaf first.
    package var pem: String { certificates.map(\.pem).joined() }

    /// Refuses what TLS could not show: weak keys, and weak signatures but for a root's own, anywhere in the chain.
    package func checkStrength() throws(PKIError) {
        for certificate in certificates { try certificate.checkStrength() }
    }

    /// More certificates than this are refused.
    package static let maximumCertificates = 20

    /// The end of whichever certificate of it ends first, in seconds since 1970: from then on clients refuse it.
    package var expiresAt: Int64 { certificates.reduce(.max) { min($0, $1.notAfter) } }

    /// Reads PEM of at most 1 MiB with the certificates in any order, some of them twice, and anything between them. With a
    /// key the leaf is the certificate for that key; else it is the one that issued none of the others.
    ///
    /// Of several certificates of one authority, renewed or signed by another one, those are taken that are valid `now`, in
    /// seconds since 1970, and for as long as the leaf. Without `now`, such as for a chain that was put in order before, they
    /// count as begun. What is left over must be above the leaf too; anything else is an error.
    package init(pem: [UInt8], key: PrivateKey? = nil, now: Int64? = nil) throws(PKIError) {
        try self.init(certificates: Self.certificates(inPEM: pem), key: key, now: now)
    }

    /// Puts certificates in order, as `init(pem:key:now:)` does.
    package init(certificates: [Certificate], key: PrivateKey? = nil, now: Int64? = nil) throws(PKIError) {
        let (chain, others) = try Self.inOrder(certificates, key: key, now: now)
        if let other = others.first { throw .unrelatedCertificate(subject: other.subject, leaf: chain.leaf.subject) }
        self = chain
    }

    /// What was found in a text of others: a chain, and what has no part in it.
    package struct Found {
        package let chain: CertificateChain
        package let others: [Certificate]
        /// Why blocks of the text can't be read, one each.
        package let unreadable: [PKIError]
    }

    /// The same for a text of others, where neither certificates that are not above the leaf nor blocks that can't be read cost
    /// the chain.
    package static func inOrder(
        certificatesOf pem: [UInt8], key: PrivateKey, now: Int64
    ) throws(PKIError) -> Found {
        var certificates: [Certificate] = []
        var unreadable: [PKIError] = []
        for block in try blocks(ofPEM: pem) {
            do throws(PKIError) {
                certificates.append(try certificate(of: block, in: pem.span))
            } catch {
                unreadable.append(error)
            }
        }
        // The leaf may be what can't be read.
        if let error = unreadable.first, !certificates.contains(where: key.matches) { throw error }
        let (chain, others) = try inOrder(certificates, key: key, now: now)
        return Found(chain: chain, others: others, unreadable: unreadable)
    }

    private static func inOrder(
        _ certificates: [Certificate], key: PrivateKey?, now: Int64?
    ) throws(PKIError) -> (chain: CertificateChain, others: [Certificate]) {
        guard certificates.count <= maximumCertificates else {
            throw .tooLarge("chain", limit: "\(maximumCertificates) certificates")
        }
        var known: Set<Certificate> = []
        let distinct = certificates.filter { known.insert($0).inserted }
        guard let first = distinct.first else { throw .noCertificate }
        let leaf: Certificate
        if let key {
            guard let match = distinct.first(where: key.matches) else { throw .keyMismatch(subject: first.subject) }
            leaf = match
        } else {
            leaf = self.leaf(of: distinct) ?? first
        }
        let search = ChainSearch(from: leaf, among: distinct, now: now)
        let path = search.best()
        let chain = CertificateChain(
            inOrder: path, leftOut: distinct.filter { search.contains($0) && !path.contains($0) })
        return (chain, distinct.filter { !search.contains($0) })
    }

    private init(inOrder certificates: [Certificate], leftOut: [Certificate]) {
        self.certificates = certificates
        self.leftOut = leftOut
    }

    /// The certificates of a text as they stand in it.
    static func certificates(inPEM pem: [UInt8]) throws(PKIError) -> [Certificate] {
        try blocks(ofPEM: pem).map { (block) throws(PKIError) in try certificate(of: block, in: pem.span) }
    }

    private static func blocks(ofPEM pem: [UInt8]) throws(PKIError) -> [PEM.Block] {
        let blocks = try PEM.certificateBlocks(in: pem.span)
        // Before the costly part; the text may well hold some of them twice.
        guard blocks.count <= 2 * maximumCertificates else {
            throw .tooLarge("chain", limit: "\(maximumCertificates) certificates")
        }
        return blocks
    }

    private static func certificate(of block: PEM.Block, in text: Span<UInt8>) throws(PKIError) -> Certificate {
        try Certificate(der: PEM.content(of: block, in: text).plainCopy())
    }

    /// What issued none of the others; an end entity's certificate before an authority's.
    private static func leaf(of certificates: [Certificate]) -> Certificate? {
        let candidates = certificates.filter { candidate in
            !certificates.contains { $0 != candidate && $0.isIssued(by: candidate) }
        }
        return candidates.first { !$0.isCA } ?? candidates.first
    }
}
