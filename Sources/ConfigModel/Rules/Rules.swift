/// What must hold between the values of a file, beyond each being well-formed.
///
/// A rule looks at typed values only and asks for places when it has something to say, so a good file of 100,000 hosts
/// pays for no places. A rule keeps silent about values that reading has complained about.
struct Rules {
    let configuration: Configuration
    let root: NodeID
    var reader: ModelReader
    let issuers: [String: Issuer]
    let certificates: [String: NamedCertificate]

    static func check(_ configuration: Configuration, _ root: NodeID, _ reader: inout ModelReader) {
        var rules = Rules(configuration, root, reader)
        rules.checkGateway()
        rules.checkIssuers()
        rules.checkCertificates()
        rules.checkEdgeCertificates()
        rules.checkHosts()
        rules.checkNames()
        reader = rules.reader
    }

    private init(_ configuration: Configuration, _ root: NodeID, _ reader: ModelReader) {
        self.configuration = configuration
        self.root = root
        self.reader = reader
        issuers = Dictionary(configuration.issuers.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        certificates = Dictionary(
            configuration.certificates.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: Complaints with their places

    /// A complaint about a key's value, or about the whole mapping when it has no such key.
    ///
    /// Silent when that value, or the value of one of the keys in `unlessFaulty`, is faulty itself.
    mutating func report(
        _ severity: Diagnostic.Severity, _ path: String..., in owner: NodeID?, unlessFaulty others: [String] = [],
        _ message: String, hint: String? = nil, notes: [Diagnostic.Note] = []
    ) {
        guard let owner else { return }
        for key in others {
            if let value = value(of: key, in: owner), reader.isFaulty(value) { return }
        }
        var node = owner
        for key in path {
            guard let value = value(of: key, in: node) else { break }
            if reader.isFaulty(value) { return }
            node = value
        }
        report(severity, at: node, message, hint: hint, notes: notes)
    }

    /// A complaint that a key is missing. Silent where a key was not understood: it may be the one, misspelt.
    mutating func reportMissing(
        _ path: String..., in owner: NodeID?, unlessFaulty others: [String], _ message: String, hint: String
    ) {
        guard let owner, !reader.isFaulty(owner) else { return }
        if others.contains(where: { key in value(of: key, in: owner).map { reader.isFaulty($0) } ?? false }) { return }
        let place = path.first.flatMap { value(of: $0, in: owner) } ?? owner
        if !reader.isFaulty(place) { report(.error, at: place, message, hint: hint) }
    }

    mutating func report(
        _ severity: Diagnostic.Severity, at node: NodeID, _ message: String, hint: String? = nil,
        notes: [Diagnostic.Note] = []
    ) {
        switch severity {
        case .error: reader.fail(node, message, hint: hint, notes: notes)
        case .warning: reader.warn(node, message, hint: hint)
        }
    }

    func note(_ message: String, at origin: SourceOrigin) -> Diagnostic.Note {
        Diagnostic.Note(position: origin.position, message: message)
    }

    /// The value of a key; nil when the mapping has none.
    func value(of key: String, in mapping: NodeID) -> NodeID? {
        guard reader.document.kind(of: mapping) == .mapping else { return nil }
        let bytes = Array(key.utf8)
        // A copy takes the complaints that reading has made already.
        var silent = reader
        return silent.entries(of: mapping).first { reader.document.scalar($0.key, equals: bytes) }?.value
    }

    /// An item of a key's list; nil when there is none.
    func item(_ index: Int, of key: String, in mapping: NodeID) -> NodeID? {
        guard let list = value(of: key, in: mapping), reader.document.kind(of: list) == .sequence else { return nil }
        let items = reader.document.items(of: list)
        return index < items.count ? items[index] : nil
    }
}
