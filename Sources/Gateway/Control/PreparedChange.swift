import ConfigModel
import Issuers
import PKI
import State
import Synchronization

/// A change of the state with all that can be made of it without knowing the others. That is most of the work, and any
/// thread can do it.
///
/// Indirect, since hosts are large and pass through several hands.
indirect enum PreparedChange: Sendable {
    /// A host; nil when its record can't be read.
    case host(ItemID, record: [UInt8], Host?)
    /// A certificate, or why it can't be used.
    case certificate(name: String, Result<CertificateEntry, Failure>)
    /// What needs no preparation.
    case other(StateChange)

    /// Why something can't be used.
    struct Failure: Error {
        let reason: String
    }
}

/// Prepares changes.
struct ChangePreparation: Sendable {
    let sealer: Sealer
    let shared: SharedParts

    /// Prepares a change. Of a certificate, seal and fingerprint have to do unless it is to be parsed, which costs a hundred
    /// times as much: apply has checked the rest before it stored it, and the seal says that the key is the leaf's.
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

/// What is the same for thousands of certificates: those above their leaves, and what else entries have in common. It is read
/// and kept once.
final class SharedParts: Sendable {
    private let commons = Mutex<[Origin: CertificateEntry.Common]>([:])
    private let intermediates = Mutex<[Text: TLSIntermediates]>([:])

    /// PEM, which ends with a signature: the last bytes tell texts apart as well as all of them.
    private struct Text: Hashable {
        let pem: [UInt8]

        func hash(into hasher: inout Hasher) {
            // Lent to the call alone.
            unsafe pem.suffix(96).withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        }
    }

    /// What tells what entries have in common.
    private struct Origin: Hashable {
        let intermediates: ObjectIdentifier
        let directory: String
        let keyID: String
    }

    /// What entries have in common whose chain goes on with these intermediates. The first one's leaf is the base.
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

    /// A chain in DER: the leaf, and what stands above it.
    func chain(of pem: [UInt8]) throws(PKIError) -> (leaf: [UInt8], above: TLSIntermediates) {
        let end = PEM.endOfFirstBlock(in: pem) ?? pem.count
        let first = try PEM.certificates(in: Array(pem[..<end]))
        if first.count == 1 { return (first[0], try intermediates(in: Array(pem[end...]))) }
        // No PEM that apply writes.
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
