import ConfigModel
import Issuers
import PKI
import State
import Synchronization

/// A change of the state, prepared as far as possible without knowing other changes. Any thread can do the preparation,
/// which is most of the work.
///
/// The enum is indirect, since `Host` is a large struct and the value is passed on several times.
indirect enum PreparedChange: Sendable {
    /// `Host` is nil if the record can't be read.
    case host(ItemID, record: [UInt8], Host?)
    case certificate(name: String, Result<CertificateEntry, Failure>)
    case other(StateChange)

    struct Failure: Error {
        let reason: String
    }
}

struct ChangePreparation: Sendable {
    let sealer: Sealer
    let shared: CertificateInternTable

    /// Prepares a change. A certificate is parsed only if `parsesCertificate` is true, since parsing costs a hundred
    /// times as much as checking the seal and the fingerprint. The seal proves that the key belongs to the leaf.
    /// aegis-apply has checked the rest.
    func prepare(_ change: StateChange, parsesCertificate: Bool) -> PreparedChange {
        switch change {
        case .item(let id, let item) where id.kind == .host:
            return .host(id, record: item.record, Host(record: item.record))
        case .certificate(let stored):
            do {
                return .certificate(name: stored.name, .success(try certificate(stored, isParsed: parsesCertificate)))
            } catch {
                return .certificate(name: stored.name, .failure(.init(reason: "\(error)")))
            }
        default: return .other(change)
        }
    }

    private func certificate(_ stored: StoredCertificate, isParsed: Bool) throws -> CertificateEntry {
        let (leaf, above) = try shared.chain(of: stored.chain)
        guard Digest.sha256Text(leaf) == stored.facts.fingerprint else {
            throw PKIError.malformed("certificate", reason: "its chain is not the one that was stored")
        }
        let common = shared.common(above, leaf: leaf, directory: stored.facts.directory, sealer)
        let entry = CertificateEntry(stored, leaf: leaf, common: common)
        if isParsed { _ = try entry.credential() } else { _ = try entry.openKey(fingerprint: stored.facts.fingerprint) }
        return entry
    }
}

/// Data that thousands of certificates have in common, such as intermediates. Each piece is parsed and kept only once.
final class CertificateInternTable: Sendable {
    private let commons = Mutex<[Origin: CertificateEntry.Common]>([:])
    private let intermediates = Mutex<[Text: TLSIntermediates]>([:])

    /// A PEM text. Only its last bytes are hashed. These bytes belong to the last certificate's signature, so they
    /// differ between texts.
    private struct Text: Hashable {
        let pem: [UInt8]

        func hash(into hasher: inout Hasher) {
            // This is safe, since the bytes are lent only for this call.
            unsafe pem.suffix(96).withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        }
    }

    /// The values that certificates must have in common to share one `CertificateEntry.Common`.
    private struct Origin: Hashable {
        let intermediates: ObjectIdentifier
        let directory: String
        let keyID: String
    }

    /// Returns the data that all certificates with these intermediates, this directory and this sealing key share. The
    /// first such certificate's `leaf` becomes the shared `DeltaBase`.
    func common(
        _ intermediates: TLSIntermediates, leaf: [UInt8], directory: String, _ sealer: Sealer
    ) -> CertificateEntry.Common {
        let origin = Origin(
            intermediates: ObjectIdentifier(intermediates), directory: directory, keyID: sealer.key.id)
        return commons.withLock { commons in
            if let known = commons[origin] { return known }
            let common = CertificateEntry.Common(
                intermediates: intermediates, base: DeltaBase(leaf), directory: directory, sealer: sealer)
            commons[origin] = common
            return common
        }
    }

    /// Splits a PEM chain into the leaf, in DER, and the intermediates.
    func chain(of pem: [UInt8]) throws(PKIError) -> (leaf: [UInt8], above: TLSIntermediates) {
        let end = PEM.endOfFirstBlock(in: pem) ?? pem.count
        let first = try PEM.certificates(in: Array(pem[..<end]))
        if first.count == 1 { return (first[0], try intermediates(in: Array(pem[end...]))) }
        // aegis-apply did not write this PEM: its first block contains no certificate, or several.
        let chain = try PEM.certificates(in: pem)
        guard let leaf = chain.first else { throw .malformed("certificate", reason: "its chain has no leaf") }
        return (leaf, try TLSIntermediates(der: chain.dropFirst()))
    }

    private func intermediates(in pem: [UInt8]) throws(PKIError) -> TLSIntermediates {
        if let known = intermediates.withLock({ $0[Text(pem: pem)] }) { return known }
        let parsed = try TLSIntermediates(der: PEM.certificates(in: pem))
        intermediates.withLock { $0[Text(pem: pem)] = parsed }
        return parsed
    }
}
