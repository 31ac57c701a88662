/// A leaf and the authorities above it, each issued by the next; a root at the end may stand or not.
public struct CertificateChain: Sendable, Hashable {
    /// From the leaf up; at least one.
    public let certificates: [Certificate]

    /// The certificate that the names and the key belong to.
    public var leaf: Certificate { certificates[0] }

    /// All of it as PEM, the leaf first.
    public var pem: String { certificates.map(\.pem).joined() }

    /// Refuses what TLS could not show: weak keys, and weak signatures but for a root's own, anywhere in the chain.
    public func checkStrength() throws(PKIError) {
        for certificate in certificates { try certificate.checkStrength() }
    }

    /// More certificates than this are refused.
    public static let maximumCertificates = 20

    /// Reads PEM of at most 1 MiB with the certificates in any order, some of them twice, and anything between them. With a
    /// key the leaf is the certificate for that key; else it is the one that issued none of the others.
    public init(pem: [UInt8], key: PrivateKey? = nil) throws(PKIError) {
        try self.init(certificates: Self.certificates(inPEM: pem), key: key)
    }

    /// Puts certificates in order, as `init(pem:key:)` does.
    public init(certificates: [Certificate], key: PrivateKey? = nil) throws(PKIError) {
        guard certificates.count <= Self.maximumCertificates else {
            throw .tooLarge("chain", limit: "\(Self.maximumCertificates) certificates")
        }
        var known: Set<Certificate> = []
        let distinct = certificates.filter { known.insert($0).inserted }
        guard let first = distinct.first else { throw .noCertificate }
        let leaf: Certificate
        if let key {
            guard let match = distinct.first(where: key.matches) else { throw .keyMismatch(subject: first.subject) }
            leaf = match
        } else {
            leaf = Self.leaf(of: distinct) ?? first
        }
        self.certificates = try Self.path(from: leaf, through: distinct)
    }

    /// The certificates of a text as they stand in it.
    static func certificates(inPEM pem: [UInt8]) throws(PKIError) -> [Certificate] {
        let text = pem.span
        let blocks = try PEM.certificateBlocks(in: text)
        // Before the costly part; the text may well hold some of them twice.
        guard blocks.count <= 2 * maximumCertificates else {
            throw .tooLarge("chain", limit: "\(maximumCertificates) certificates")
        }
        var certificates: [Certificate] = []
        for block in blocks {
            let der = try PEM.content(of: block, in: text).plainCopy()
            certificates.append(try Certificate(der: der))
        }
        return certificates
    }

    /// What issued none of the others; an end entity's certificate before an authority's.
    private static func leaf(of certificates: [Certificate]) -> Certificate? {
        let candidates = certificates.filter { candidate in
            !certificates.contains { $0 != candidate && $0.isIssued(by: candidate) }
        }
        return candidates.first { !$0.isCA } ?? candidates.first
    }

    /// Follows the issuers up. What is left over must be another certificate of an authority in the chain, as there is when
    /// an older root has signed a newer one: that is dropped. Anything else is an error.
    private static func path(from leaf: Certificate, through all: [Certificate]) throws(PKIError) -> [Certificate] {
        var path = [leaf]
        var rest = all.filter { $0 != leaf }
        while let last = path.last, !last.isSelfIssued {
            let issuers = rest.filter(last.isIssued)
            // A root ends the path, so it comes last among those that could follow.
            guard let next = issuers.first(where: { !$0.isSelfIssued }) ?? issuers.first else { break }
            path.append(next)
            rest.removeAll { $0 == next }
        }
        for certificate in rest where !path.contains(where: { $0.isIssued(by: certificate) }) {
            throw .unrelatedCertificate(subject: certificate.subject, leaf: leaf.subject)
        }
        return path
    }
}
