import Issuers
import PKI
import State

/// A certificate of the state as workers and the control side keep it: its leaf, and its key sealed. It is parsed when a handshake
/// first asks for it (design: half a KiB where the parsed form takes six). Shared by all of them, and one small piece of
/// memory, since there may be 100,000.
@safe
struct CertificateEntry: Named {
    /// What it has in common with many others.
    final class Common: Sendable {
        /// The certificates above it.
        let intermediates: TLSIntermediates
        /// The leaf of one of them: leaves of one CA are alike.
        let base: DeltaBase
        /// That of its facts.
        let directory: String
        let sealer: Sealer

        init(intermediates: TLSIntermediates, base: DeltaBase, directory: String, sealer: Sealer) {
            self.intermediates = intermediates
            self.base = base
            self.directory = directory
            self.sealer = sealer
        }
    }

    /// What has a fixed size, and where the bytes behind it end: the leaf's difference from the base, its sealed key, its
    /// record, its name and the names it is for, one after the other.
    private struct Fixed {
        let common: Common
        let expiresAt: Int64
        let notBefore: Int64
        let createdAt: Int64
        var restsUntil: Int64
        let leafEnd: Int32
        let keyEnd: Int32
        let recordEnd: Int32
        let nameEnd: Int32
        let domainsEnd: Int32
        let source: CertificateFacts.Source
        let autoRenew: Bool
        let isLost: Bool

        init(_ stored: StoredCertificate, common: Common, ends: [Int32]) {
            let facts = stored.facts
            self.common = common
            expiresAt = facts.expiresAt
            notBefore = facts.notBefore
            createdAt = facts.createdAt
            restsUntil =
                common.directory.isEmpty && facts.loss == nil
                ? CertificateFacts.restsUntil(notBefore: facts.notBefore, expiresAt: facts.expiresAt) : 0
            (leafEnd, keyEnd, recordEnd, nameEnd, domainsEnd) = (ends[0], ends[1], ends[2], ends[3], ends[4])
            source = facts.source
            autoRenew = facts.autoRenew
            isLost = facts.loss != nil
        }
    }

    private let storage: ManagedBuffer<Fixed, UInt8>

    /// A stored certificate.
    init(_ stored: StoredCertificate, leaf: [UInt8], common: Common) {
        let domains = stored.facts.domains.reduce(into: []) { $0 += Array($1.utf8) + [0] }
        var (bytes, ends) = ([UInt8](), [Int32]())
        for part in [
            common.base.difference(of: leaf), stored.sealedKey, stored.record, Array(stored.name.utf8), domains,
        ] {
            bytes += part
            ends.append(Int32(bytes.count))
        }
        storage = .create(minimumCapacity: bytes.count) { _ in Fixed(stored, common: common, ends: ends) }
        // There is room for them; they need no deinitializer.
        unsafe storage.withUnsafeMutablePointerToElements { start in
            unsafe start.initialize(from: bytes, count: bytes.count)
        }
    }

    // By address: an access to `header` would be one to all of it, also to what another thread may be changing.
    private var fixed: UnsafeMutablePointer<Fixed> { unsafe storage.withUnsafeMutablePointerToHeader { unsafe $0 } }

    private func lending<Result>(_ start: Int32, _ end: Int32, _ body: (Bytes) -> Result) -> Result {
        // Within what was put there, which stays as long as the storage.
        unsafe storage.withUnsafeMutablePointerToElements { bytes in
            body(unsafe Bytes(bytes + Int(start), count: Int(end - start)))
        }
    }

    /// The end of its validity, in seconds since 1970.
    var expiresAt: Int64 { unsafe fixed.pointee.expiresAt }

    /// Where it came from.
    var source: CertificateFacts.Source { unsafe fixed.pointee.source }

    /// Before this, in seconds since 1970, it is not due to be renewed unless something is known of its renewal, and nobody
    /// needs to look. For the control side alone.
    var restsUntil: Int64 {
        get { unsafe fixed.pointee.restsUntil }
        nonmutating set { unsafe fixed.pointee.restsUntil = newValue }
    }

    private var leaf: [UInt8] {
        unsafe lending(0, fixed.pointee.leafEnd) { unsafe fixed.pointee.common.base.bytes(from: $0) }
    }

    /// Its name in the state.
    var name: String { lendingName(\.text) }

    /// Lends its name.
    func lendingName<Result>(_ body: (Bytes) -> Result) -> Result {
        unsafe lending(fixed.pointee.recordEnd, fixed.pointee.nameEnd, body)
    }

    func isNamed(_ name: Bytes) -> Bool { lendingName { $0.equals(name) } }

    /// Lends the names it is for.
    private func lendingDomains<Result>(_ body: (NameList) -> Result) -> Result {
        unsafe lending(fixed.pointee.nameEnd, fixed.pointee.domainsEnd) { body(NameList($0)) }
    }

    /// The names it is for, in lower case; wildcards as `*.…`.
    var domains: [String] {
        var domains: [String] = []
        lendingDomains { $0.forEach { domains.append($0.text) } }
        return domains
    }

    /// What is known of it, but for what only people read.
    var facts: CertificateFacts {
        unsafe CertificateFacts(
            domains: domains, source: source, issuerCommonName: "", notBefore: fixed.pointee.notBefore,
            expiresAt: fixed.pointee.expiresAt, autoRenew: fixed.pointee.autoRenew, createdAt: fixed.pointee.createdAt,
            fingerprint: Digest.sha256Text(leaf), directory: fixed.pointee.common.directory,
            loss: fixed.pointee.isLost ? "is no longer good" : nil)
    }

    /// What it takes to renew it; nil for those of hosts, the operator's own, and those that are not renewed.
    var managed: ManagedCertificate? {
        guard unsafe fixed.pointee.autoRenew, source != .custom else { return nil }
        return unsafe ManagedCertificate(
            named: name, record: lending(fixed.pointee.keyEnd, fixed.pointee.recordEnd, \.copy), autoRenew: true,
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
        try unsafe fixed.pointee.common.sealer.openKey(
            lending(fixed.pointee.leafEnd, fixed.pointee.keyEnd, \.copy), ofCertificate: name, fingerprint: fingerprint)
    }

    /// Opens the key and parses the chain.
    func credential() throws -> TLSCredential {
        let leaf = leaf
        let key = try PrivateKey(der: openKey(fingerprint: Digest.sha256Text(leaf)))
        return try unsafe TLSCredential(leaf: leaf, intermediates: fixed.pointee.common.intermediates, key: key)
    }
}

// Sound to share: nothing changes after init but `restsUntil`, at which one thread alone looks.
extension CertificateEntry: @unchecked Sendable {}
