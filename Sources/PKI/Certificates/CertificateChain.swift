/// A leaf and the authorities above it, each certificate issued by the next. The last one may be a root.
package struct CertificateChain: Sendable, Hashable {
    /// The certificates from the leaf up; at least one.
    package let certificates: [Certificate]

    /// Certificates of the input that are above the leaf but not part of the chain, in the input's order.
    package let leftOut: [Certificate]

    /// The certificate that the names and the key belong to.
    package var leaf: Certificate { certificates[0] }

    /// The whole chain as PEM, the leaf first.
    package var pem: String { certificates.map(\.pem).joined() }

    /// Throws when any certificate has a weak key or a weak signature (a root's own signature doesn't count): TLS would
    /// refuse the chain.
    package func checkStrength() throws(PKIError) {
        for certificate in certificates { try certificate.checkStrength() }
    }

    /// The most certificates of one input; more are refused.
    package static let maximumCertificates = 20

    /// The earliest end among the certificates, in seconds since 1970. Clients refuse the chain from then on.
    package var expiresAt: Int64 { certificates.reduce(.max) { min($0, $1.notAfter) } }

    /// Reads PEM of at most 1 MiB. The certificates may come in any order, some of them twice, with any text between
    /// them. With a key, the leaf is the certificate for that key; else it is the certificate that issued none of the
    /// others.
    ///
    /// An authority may have several certificates, renewed or signed by another authority. The chain uses the ones that
    /// are valid `now`, in seconds since 1970, and for as long as the leaf. Without `now`, such as for a chain that was
    /// put in order before, every certificate counts as valid. Throws when a certificate is neither the leaf nor above
    /// it.
    package init(pem: [UInt8], key: PrivateKey? = nil, now: Int64? = nil) throws(PKIError) {
        try self.init(certificates: Self.certificates(inPEM: pem), key: key, now: now)
    }

    /// Puts certificates in order, as `init(pem:key:now:)` does.
    package init(certificates: [Certificate], key: PrivateKey? = nil, now: Int64? = nil) throws(PKIError) {
        let (chain, others) = try Self.inOrder(certificates, key: key, now: now)
        if let other = others.first { throw .unrelatedCertificate(subject: other.subject, leaf: chain.leaf.subject) }
        self = chain
    }

    /// The result of reading a text that another party wrote: the chain, and the certificates that have no part in it.
    package struct Found {
        package let chain: CertificateChain
        package let others: [Certificate]
        /// For each block that can't be read, the reason.
        package let unreadable: [PKIError]
    }

    /// Reads a chain as `init(pem:key:now:)` does, from a text that another party wrote. Certificates that are not
    /// above the leaf, and blocks that can't be read, don't make it throw.
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
        // The unreadable block may be the leaf.
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

    /// The certificates of a text, in its order.
    static func certificates(inPEM pem: [UInt8]) throws(PKIError) -> [Certificate] {
        try blocks(ofPEM: pem).map { (block) throws(PKIError) in try certificate(of: block, in: pem.span) }
    }

    private static func blocks(ofPEM pem: [UInt8]) throws(PKIError) -> [PEM.Block] {
        let blocks = try PEM.certificateBlocks(in: pem.span)
        // Checked before certificates are parsed, which is costly. Twice the limit, since a text may contain
        // certificates twice.
        guard blocks.count <= 2 * maximumCertificates else {
            throw .tooLarge("chain", limit: "\(maximumCertificates) certificates")
        }
        return blocks
    }

    private static func certificate(of block: PEM.Block, in text: Span<UInt8>) throws(PKIError) -> Certificate {
        try Certificate(der: PEM.content(of: block, in: text).plainCopy())
    }

    /// Finds a certificate that issued none of the others. Among several, an end entity's is preferred to an
    /// authority's.
    private static func leaf(of certificates: [Certificate]) -> Certificate? {
        let candidates = certificates.filter { candidate in
            !certificates.contains { $0 != candidate && $0.isIssued(by: candidate) }
        }
        return candidates.first { !$0.isCA } ?? candidates.first
    }
}
