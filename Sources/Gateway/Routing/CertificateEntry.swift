import Issuers
import PKI
import State
import Synchronization

/// A certificate of the state as workers and the control side keep it: chain in DER, key sealed. It is parsed when a handshake
/// first asks for it (design: half a KiB where the parsed form takes six). Shared by all of them.
final class CertificateEntry: Sendable {
    /// Its name in the state.
    let name: String
    /// The end of its validity, in seconds since 1970.
    let expiresAt: Int64
    /// Where it came from.
    let source: CertificateFacts.Source
    /// Before this, in seconds since 1970, it is not due to be renewed unless something is known of its renewal, and nobody
    /// needs to look. Only the control side uses it.
    let restsUntil: Atomic<Int64>
    private let notBefore: Int64
    private let createdAt: Int64
    private let autoRenew: Bool
    private let directory: String
    /// The certificates above it, which it shares with others.
    private let intermediates: TLSIntermediates
    private let opener: KeyOpener
    /// The leaf, its sealed key, its record and its names, one after the other: very many pieces would take more memory than
    /// what is in them.
    private let bytes: [UInt8]
    private let keyStart: Int32
    private let recordStart: Int32
    private let domainsStart: Int32

    /// A stored certificate. `directory` is that of its facts, one text for many.
    init(
        _ stored: StoredCertificate, leaf: [UInt8], intermediates: TLSIntermediates, directory: String,
        opener: KeyOpener
    ) {
        let facts = stored.facts
        name = stored.name
        expiresAt = facts.expiresAt
        source = facts.source
        restsUntil = Atomic(
            directory.isEmpty ? CertificateFacts.restsUntil(notBefore: facts.notBefore, expiresAt: facts.expiresAt) : 0)
        notBefore = facts.notBefore
        createdAt = facts.createdAt
        autoRenew = facts.autoRenew
        self.directory = directory
        self.intermediates = intermediates
        self.opener = opener
        let domains = facts.domains.reduce(into: []) { $0 += Array($1.utf8) + [0] }
        keyStart = Int32(leaf.count)
        recordStart = keyStart + Int32(stored.sealedKey.count)
        domainsStart = recordStart + Int32(stored.record.count)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(domainsStart) + domains.count)
        bytes += leaf
        bytes += stored.sealedKey
        bytes += stored.record
        bytes += domains
        self.bytes = bytes
    }

    private var leaf: [UInt8] { Array(bytes[..<Int(keyStart)]) }

    /// The names it is for, in lower case; wildcards as `*.…`.
    var domains: [String] {
        bytes[Int(domainsStart)...].split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    /// What is known of it, but for what only people read.
    var facts: CertificateFacts {
        CertificateFacts(
            domains: domains, source: source, issuerCommonName: "", notBefore: notBefore, expiresAt: expiresAt,
            autoRenew: autoRenew, createdAt: createdAt, fingerprint: Digest.sha256Text(leaf), directory: directory)
    }

    /// What it takes to renew it; nil for those of hosts, the operator's own, and those that are not renewed.
    var managed: ManagedCertificate? {
        guard autoRenew, source != .custom else { return nil }
        return ManagedCertificate(
            named: name, record: Array(bytes[Int(recordStart)..<Int(domainsStart)]), autoRenew: autoRenew,
            source: source)
    }

    /// Whether a name, or the wildcard above it (`from` the parent's dot), is one of its names.
    func isFor(_ key: HostKey, from start: Int) -> Bool {
        bytes.lending(from: Int(domainsStart)) { NameList($0).contains(key, from: start) }
    }

    /// Calls `body` with the hash of each of its names.
    func forEachHash(_ body: (UInt32) -> Void) {
        bytes.lending(from: Int(domainsStart)) { NameList($0).forEach { body(NameHash.of($0)) } }
    }

    /// Opens the key alone: whether it belongs to this name and leaf, unless an earlier version has sealed it.
    ///
    /// - Parameter fingerprint: SHA-256 of the leaf in lower-case hex.
    func openKey(fingerprint: String) throws -> SecretBytes {
        try opener.sealer.openKey(
            Array(bytes[Int(keyStart)..<Int(recordStart)]), ofCertificate: name, fingerprint: fingerprint)
    }

    /// Opens the key and parses the chain.
    func credential() throws -> TLSCredential {
        let leaf = leaf
        let key = try PrivateKey(der: openKey(fingerprint: Digest.sha256Text(leaf)))
        return try TLSCredential(leaf: leaf, intermediates: intermediates, key: key)
    }
}

/// What opens keys, once for all that need it.
final class KeyOpener: Sendable {
    let sealer: Sealer

    init(_ sealer: Sealer) { self.sealer = sealer }
}

extension [UInt8] {
    /// Lends what follows the first bytes.
    fileprivate func lending<Result>(from start: Int, _ body: (Bytes) -> Result) -> Result {
        // Lent to the call alone; only an empty array has no address.
        unsafe withUnsafeBufferPointer { buffer in
            guard let address = buffer.baseAddress else { return body(Bytes("")) }
            return body(unsafe Bytes(address, count: buffer.count).from(start))
        }
    }
}
