import PKI
import State

/// Sees to it that one process at a time has a certificate from a CA.
struct SoleIssuance {
    let tools: IssuanceContext

    /// How long another process may take with the same certificate, in seconds.
    private static let patienceSeconds: Int64 = 300

    /// What `work` gives under the certificate's lease. Lease and order end with the commit of the material's `closing`.
    ///
    /// When another process was having the certificate meanwhile, what that one stored is the result.
    func obtain(
        _ name: String, for names: [String], by work: () throws(IssuanceFailure) -> IssuedMaterial
    ) throws(IssuanceFailure) -> IssuedMaterial {
        let (keeper, known) = try takeLease(name)
        do throws(IssuanceFailure) {
            let material: IssuedMaterial
            if let done = try stored(name, for: names, besides: known) {
                material = done
            } else {
                material = try work()
            }
            keeper.stopRenewing()
            return material
        } catch {
            keeper.release()
            throw error
        }
    }

    /// The lease, and the fingerprint of the certificate that there was when we began to ask for it; nil for none.
    private func takeLease(_ name: String) throws(IssuanceFailure) -> (LeaseKeeper, known: String?) {
        do {
            let known = try tools.store.certificate(named: name)?.facts.fingerprint
            let end = tools.now() + Self.patienceSeconds
            while true {
                do {
                    return (try LeaseKeeper(.certificate(name), in: tools.store), known)
                } catch let held as LeaseKeeper.Held where tools.now() >= end {
                    let other = held.lease.holder
                    throw IssuanceFailure(
                        "process \(other.process) on \(other.machine) is having it since"
                            + " \(UTCTime.text(held.lease.since))")
                } catch is LeaseKeeper.Held {
                    Pause.wait(.milliseconds(250))
                }
            }
        } catch let failure as IssuanceFailure {
            throw failure
        } catch {
            throw IssuanceFailure("\(error)")
        }
    }

    /// What another process has stored while we waited for the lease.
    private func stored(
        _ name: String, for names: [String], besides known: String?
    ) throws(IssuanceFailure) -> IssuedMaterial? {
        do {
            guard let stored = try tools.store.certificate(named: name), stored.facts.fingerprint != known,
                Set(stored.facts.domains) == Set(names)
            else { return nil }
            let key = try PrivateKey(der: stored.openKey(tools.sealer))
            return IssuedMaterial(
                chain: try CertificateChain(pem: stored.chain, key: key), key: key, sourceDigest: [], warnings: [],
                closing: [.endOrder(certificate: name)], remote: stored.remote, directory: stored.facts.directory)
        } catch {
            throw IssuanceFailure("\(error)")
        }
    }
}
