/// A leaf and the CA certificates above it. Each certificate is issued by the next one. The last one may be a root.
package struct CertificateChain: Sendable, Hashable {
    /// The certificates, the leaf first. There is at least one.
    package let certificates: [Certificate]

    /// CA certificates of the leaf that the chain does not need, in the order of the input. One example is an older
    /// certificate of a CA whose renewed certificate is in the chain.
    package let leftOut: [Certificate]

    /// The server's own certificate.
    package var leaf: Certificate { certificates[0] }

    /// The whole chain in PEM, the leaf first.
    package var pem: String { certificates.map(\.pem).joined() }

    /// Throws if a certificate has a weak key or a weak signature, since TLS clients would reject the chain. A root's
    /// own signature is not checked.
    package func checkStrength() throws(PKIError) {
        for certificate in certificates { try certificate.checkStrength() }
    }

    /// A leaf with more certificates above it, and those counted, is rejected.
    package static let maximumCertificates = 20
    /// A text with more certificates is rejected. Some CAs send all their certificates beside a chain.
    package static let maximumInText = 100

    /// The earliest expiry among the certificates, in seconds since 1970. From then on, clients reject the chain.
    package var expiresAt: Int64 { certificates.reduce(.max) { min($0, $1.notAfter) } }

    /// Reads certificates in PEM, at most 1 MiB. Their order does not matter, and duplicates and other text are
    /// ignored. With `key`, the leaf is the key's certificate. Without `key`, the leaf is the certificate that issued
    /// none of the others.
    ///
    /// A CA may have several certificates with the same key, for example after a renewal. The chain prefers
    /// certificates that are valid at `now` (in seconds since 1970) and do not expire before the leaf. If `now` is nil,
    /// all certificates count as valid. Throws if the input has a certificate that is neither the leaf nor above the
    /// leaf.
    package init(pem: [UInt8], key: PrivateKey? = nil, now: Int64? = nil) throws(PKIError) {
        try self.init(certificates: Self.certificates(inPEM: pem), key: key, now: now)
    }

    /// Sorts certificates into a chain by the rules of `init(pem:key:now:)`.
    package init(certificates: [Certificate], key: PrivateKey? = nil, now: Int64? = nil) throws(PKIError) {
        let (chain, others) = try Self.inOrder(certificates, key: key, now: now)
        if let other = others.first { throw .unrelatedCertificate(subject: other.subject, leaf: chain.leaf.subject) }
        self = chain
    }

    /// A chain from a CA's answer, and the parts of the answer that do not belong to the chain.
    package struct Found {
        package let chain: CertificateChain
        package let others: [Certificate]
        /// The error of each PEM block that can't be read.
        package let unreadable: [PKIError]
        /// The fault because of which the answer is not PEM (RFC 7468), although its certificates could be read. Nil if
        /// the answer is correct PEM.
        package let slip: PKIError?
        /// Whether the chain's certificates were in another order in the answer.
        package let isReordered: Bool
    }

    /// Reads a chain from a CA's answer, by the rules of `init(pem:key:now:)`. Unrelated certificates and unreadable
    /// blocks do not make this function throw. The boundaries of certificates need not be on lines of their own.
    package static func inOrder(
        certificatesOf answer: [UInt8], key: PrivateKey, now: Int64
    ) throws(PKIError) -> Found {
        var certificates: [Certificate] = []
        var unreadable: [PKIError] = []
        var (pem, slip) = (answer, PKIError?.none)
        let blocks: [PEM.Block]
        do throws(PKIError) {
            blocks = try self.blocks(ofPEM: pem)
        } catch {
            pem = PEM.takenOut(of: answer)
            guard !pem.isEmpty, let found = try? self.blocks(ofPEM: pem) else { throw error }
            (blocks, slip) = (found, error)
        }
        for block in blocks {
            do throws(PKIError) {
                certificates.append(try certificate(of: block, in: pem.span))
            } catch {
                unreadable.append(error)
            }
        }
        // One of the unreadable blocks may be the leaf, so its error is more useful than "no match".
        if let error = unreadable.first, !certificates.contains(where: key.matches) { throw error }
        let (chain, others) = try inOrder(certificates, key: key, now: now)
        var seen: Set<Certificate> = []
        let inputs = certificates.filter { chain.certificates.contains($0) && seen.insert($0).inserted }
        return Found(
            chain: chain, others: others, unreadable: unreadable, slip: slip,
            isReordered: inputs != chain.certificates)
    }

    private static func inOrder(
        _ certificates: [Certificate], key: PrivateKey?, now: Int64?
    ) throws(PKIError) -> (chain: CertificateChain, others: [Certificate]) {
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
        let search = try ChainSearch(from: leaf, among: distinct, now: now)
        let path = search.best()
        let chain = CertificateChain(
            inOrder: path, leftOut: distinct.filter { search.contains($0) && !path.contains($0) })
        return (chain, distinct.filter { !search.contains($0) })
    }

    private init(inOrder certificates: [Certificate], leftOut: [Certificate]) {
        self.certificates = certificates
        self.leftOut = leftOut
    }

    /// Reads all certificates of a text, in the order of the text.
    static func certificates(inPEM pem: [UInt8]) throws(PKIError) -> [Certificate] {
        try blocks(ofPEM: pem).map { (block) throws(PKIError) in try certificate(of: block, in: pem.span) }
    }

    private static func blocks(ofPEM pem: [UInt8]) throws(PKIError) -> [PEM.Block] {
        let blocks = try PEM.certificateBlocks(in: pem.span)
        // Parsing certificates is slow, so their number is checked first.
        guard blocks.count <= maximumInText else {
            throw .tooLarge("text", limit: "\(maximumInText) certificates")
        }
        return blocks
    }

    private static func certificate(of block: PEM.Block, in text: Span<UInt8>) throws(PKIError) -> Certificate {
        try Certificate(der: PEM.content(of: block, in: text).plainCopy())
    }

    /// Finds a certificate that issued none of the others. If there are several, prefers a server's certificate to a
    /// CA's.
    private static func leaf(of certificates: [Certificate]) -> Certificate? {
        let candidates = certificates.filter { candidate in
            !certificates.contains { $0 != candidate && $0.isIssued(by: candidate) }
        }
        return candidates.first { !$0.isCA } ?? candidates.first
    }
}
