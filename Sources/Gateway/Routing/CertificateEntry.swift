import Issuers
import PKI
import State

/// A certificate of the state. Until a handshake needs the certificate, its leaf is not parsed and its key stays
/// sealed. The parsed form takes 6 KiB and this form half a KiB, and there may be 100,000 certificates. An entry is one
/// block of memory, which all workers and the control side share.
@safe
struct CertificateEntry: Named {
    final class Common: Sendable {
        let intermediates: TLSIntermediates
        /// One of the leaves. The other leaves of the same CA are similar, so only their differences from this leaf are
        /// stored.
        let base: DeltaBase
        /// The directory URL of the ACME CA that issued the certificates. Empty if another source issued them, or if
        /// the CA is not known.
        let directory: String
        let sealer: Sealer

        init(intermediates: TLSIntermediates, base: DeltaBase, directory: String, sealer: Sealer) {
            self.intermediates = intermediates
            self.base = base
            self.directory = directory
            self.sealer = sealer
        }
    }

    /// The values of fixed size. Five byte sequences follow in memory: the leaf's difference from the base, the sealed
    /// key, the record, the name, and the domains. The offset at which each of the five ends is stored here.
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
        // This is safe, since the memory has room for `bytes`, and bytes need no deinitializer.
        unsafe storage.withUnsafeMutablePointerToElements { start in
            unsafe start.initialize(from: bytes, count: bytes.count)
        }
    }

    // This is safe, since the storage keeps the memory alive, and after `init` only `restsUntil` changes.
    // `ManagedBuffer.header` is not used: it would access the whole `Fixed` value at once, which would race with
    // another thread's write to `restsUntil`.
    private var fixed: Fixed {
        unsafeAddress { unsafe UnsafePointer(storage.withUnsafeMutablePointerToHeader { unsafe $0 }) }
        nonmutating unsafeMutableAddress { unsafe storage.withUnsafeMutablePointerToHeader { unsafe $0 } }
    }

    private func lending<Result>(_ start: Int32, _ end: Int32, _ body: (Bytes) -> Result) -> Result {
        // This is safe, since `init` wrote the bytes of this range, and the storage keeps the memory alive.
        unsafe storage.withUnsafeMutablePointerToElements { bytes in
            body(unsafe Bytes(bytes + Int(start), count: Int(end - start)))
        }
    }

    /// The end of the certificate's validity, in seconds since 1970.
    var expiresAt: Int64 { fixed.expiresAt }

    var source: CertificateFacts.Source { fixed.source }

    /// Before this time, in seconds since 1970, the certificate is certainly not due for renewal, unless its CA has
    /// advised otherwise. Only the control side may read or set the value.
    var restsUntil: Int64 {
        get { fixed.restsUntil }
        nonmutating set { fixed.restsUntil = newValue }
    }

    private var leaf: [UInt8] {
        lending(0, fixed.leafEnd) { fixed.common.base.bytes(from: $0) }
    }

    var name: String { lendingName(\.text) }

    func lendingName<Result>(_ body: (Bytes) -> Result) -> Result {
        lending(fixed.recordEnd, fixed.nameEnd, body)
    }

    func isNamed(_ name: Bytes) -> Bool { lendingName { $0.equals(name) } }

    private func lendingDomains<Result>(_ body: (NameList) -> Result) -> Result {
        lending(fixed.nameEnd, fixed.domainsEnd) { body(NameList($0)) }
    }

    /// The domains are in lower case. A wildcard begins with `*.`.
    var domains: [String] {
        var domains: [String] = []
        lendingDomains { $0.forEach { domains.append($0.text) } }
        return domains
    }

    /// The facts that a renewal needs. Texts that only people read are left out or shortened.
    var facts: CertificateFacts {
        CertificateFacts(
            domains: domains, source: source, issuerCommonName: "", notBefore: fixed.notBefore,
            expiresAt: fixed.expiresAt, autoRenew: fixed.autoRenew, createdAt: fixed.createdAt,
            fingerprint: Digest.sha256Text(leaf), directory: fixed.common.directory,
            loss: fixed.isLost ? "is no longer good" : nil)
    }

    /// The values that a renewal needs. Nil for a certificate that the gateway does not renew, such as one that an
    /// operator provided.
    var managed: ManagedCertificate? {
        guard fixed.autoRenew, source != .custom else { return nil }
        return ManagedCertificate(
            named: name, record: lending(fixed.keyEnd, fixed.recordEnd, \.copy), autoRenew: true,
            source: source)
    }

    /// Whether one of the certificate's domains is the whole name (`start` is 0), or is the wildcard `*` plus the bytes
    /// of the name from `start` (`start` is the offset of the first dot).
    func isFor(_ key: HostKey, suffixFrom start: Int) -> Bool {
        lendingDomains { $0.contains(key, suffixFrom: start) }
    }

    /// Calls `body` with the hash of each domain, for a `NameTable`.
    func forEachHash(_ body: (UInt32) -> Void) {
        lendingDomains { $0.forEach { body(NameHash.of($0)) } }
    }

    /// Opens the sealed key. Throws if the key was sealed for another certificate name or leaf. A key that an earlier
    /// version has sealed is not bound to a name and leaf, so such a key is not checked.
    ///
    /// - Parameter fingerprint: SHA-256 of the leaf in lower-case hex.
    func openKey(fingerprint: String) throws -> SecretBytes {
        try fixed.common.sealer.openKey(
            lending(fixed.leafEnd, fixed.keyEnd, \.copy), ofCertificate: name, fingerprint: fingerprint)
    }

    /// Opens the key and parses the chain. This is too expensive to be done for all certificates in advance.
    func credential() throws -> TLSCredential {
        let leaf = leaf
        let key = try PrivateKey(der: openKey(fingerprint: Digest.sha256Text(leaf)))
        return try TLSCredential(leaf: leaf, intermediates: fixed.common.intermediates, key: key)
    }
}

// This is safe to share between threads: after `init` only `restsUntil` changes, and only the control side's thread
// uses `restsUntil`.
extension CertificateEntry: @unchecked Sendable {}
