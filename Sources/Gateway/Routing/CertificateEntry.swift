import Issuers
import PKI
import State
import Synchronization

/// A certificate of the state as workers and the control side keep it: chain in DER, key sealed. It is parsed when a handshake
/// first asks for it (design: half a KiB where the parsed form takes six). Shared by all of them, and small, since there may be
/// 100,000.
@safe
final class CertificateEntry: Sendable, Named {
    /// What it has in common with many others.
    final class Common: Sendable {
        /// The certificates above it.
        let intermediates: TLSIntermediates
        /// That of its facts.
        let directory: String
        let sealer: Sealer

        init(intermediates: TLSIntermediates, directory: String, sealer: Sealer) {
            self.intermediates = intermediates
            self.directory = directory
            self.sealer = sealer
        }
    }

    /// The end of its validity, in seconds since 1970.
    let expiresAt: Int64
    /// Before this, in seconds since 1970, it is not due to be renewed unless something is known of its renewal, and nobody
    /// needs to look. Only the control side uses it.
    let restsUntil: Atomic<Int64>
    private let notBefore: Int64
    private let createdAt: Int64
    private let common: Common
    // Sound to share: written by init alone, freed by deinit alone. The leaf, its sealed key, its record, its name and the names
    // it is for, one after the other: very many pieces would take more memory than what is in them.
    private nonisolated(unsafe) let memory: UnsafeMutablePointer<UInt8>
    private let leafEnd: Int32
    private let keyEnd: Int32
    private let recordEnd: Int32
    private let nameEnd: Int32
    private let domainsEnd: Int32
    /// Where it came from.
    let source: CertificateFacts.Source
    private let autoRenew: Bool

    /// A stored certificate.
    init(_ stored: StoredCertificate, leaf: [UInt8], common: Common) {
        let facts = stored.facts
        expiresAt = facts.expiresAt
        source = facts.source
        restsUntil = Atomic(
            common.directory.isEmpty
                ? CertificateFacts.restsUntil(notBefore: facts.notBefore, expiresAt: facts.expiresAt) : 0)
        notBefore = facts.notBefore
        createdAt = facts.createdAt
        autoRenew = facts.autoRenew
        self.common = common
        let domains = facts.domains.reduce(into: []) { $0 += Array($1.utf8) + [0] }
        leafEnd = Int32(leaf.count)
        keyEnd = leafEnd + Int32(stored.sealedKey.count)
        recordEnd = keyEnd + Int32(stored.record.count)
        nameEnd = recordEnd + Int32(stored.name.utf8.count)
        domainsEnd = nameEnd + Int32(domains.count)
        unsafe memory = .allocate(capacity: Int(domainsEnd))
        var end = unsafe memory
        for part in [leaf, stored.sealedKey, stored.record, Array(stored.name.utf8), domains] {
            // Their sizes are what the capacity is the sum of.
            unsafe end.initialize(from: part, count: part.count)
            unsafe end += part.count
        }
    }

    deinit { unsafe memory.deallocate() }

    private func lending<Result>(_ start: Int32, _ end: Int32, _ body: (Bytes) -> Result) -> Result {
        // Within the memory, which is there as long as this is.
        withExtendedLifetime(self) { body(unsafe Bytes(memory + Int(start), count: Int(end - start))) }
    }

    private var leaf: [UInt8] { lending(0, leafEnd, \.copy) }

    /// Its name in the state.
    var name: String { lendingName(\.text) }

    /// Lends its name.
    func lendingName<Result>(_ body: (Bytes) -> Result) -> Result { lending(recordEnd, nameEnd, body) }

    func isNamed(_ name: Bytes) -> Bool { lendingName { $0.equals(name) } }

    /// Lends the names it is for.
    private func lendingDomains<Result>(_ body: (NameList) -> Result) -> Result {
        lending(nameEnd, domainsEnd) { body(NameList($0)) }
    }

    /// The names it is for, in lower case; wildcards as `*.…`.
    var domains: [String] {
        var domains: [String] = []
        lendingDomains { $0.forEach { domains.append($0.text) } }
        return domains
    }

    /// What is known of it, but for what only people read.
    var facts: CertificateFacts {
        CertificateFacts(
            domains: domains, source: source, issuerCommonName: "", notBefore: notBefore, expiresAt: expiresAt,
            autoRenew: autoRenew, createdAt: createdAt, fingerprint: Digest.sha256Text(leaf),
            directory: common.directory)
    }

    /// What it takes to renew it; nil for those of hosts, the operator's own, and those that are not renewed.
    var managed: ManagedCertificate? {
        guard autoRenew, source != .custom else { return nil }
        return ManagedCertificate(
            named: name, record: lending(keyEnd, recordEnd, \.copy), autoRenew: autoRenew,
            source: source)
    }

    /// Whether a name, or the wildcard above it (`from` the parent's dot), is one of its names.
    func isFor(_ key: HostKey, from start: Int) -> Bool {
        lendingDomains { $0.contains(key, from: start) }
    }

    /// Calls `body` with the hash of each of its names.
    func forEachHash(_ body: (UInt32) -> Void) {
        lendingDomains { $0.forEach { body(NameHash.of($0)) } }
    }

    /// Opens the key alone: whether it belongs to this name and leaf, unless an earlier version has sealed it.
    ///
    /// - Parameter fingerprint: SHA-256 of the leaf in lower-case hex.
    func openKey(fingerprint: String) throws -> SecretBytes {
        try common.sealer.openKey(
            lending(leafEnd, keyEnd, \.copy), ofCertificate: name, fingerprint: fingerprint)
    }

    /// Opens the key and parses the chain.
    func credential() throws -> TLSCredential {
        let leaf = leaf
        let key = try PrivateKey(der: openKey(fingerprint: Digest.sha256Text(leaf)))
        return try TLSCredential(leaf: leaf, intermediates: common.intermediates, key: key)
    }
}
