import PKI
import State

/// Ensures that only one process at a time obtains a certificate.
struct SoleIssuance {
    let tools: IssuanceContext

    /// How long to wait for another process that has the certificate's lease, in seconds.
    private static let patienceSeconds: Int64 = 300

    /// Runs `work` under the certificate's lease. Lease and order end with the commit that includes the material's
    /// `closing`.
    ///
    /// If another process has obtained the certificate meanwhile, that certificate is the result, and `work` does not
    /// run.
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

    /// Takes the lease. `known` is the fingerprint of the certificate that was stored before the wait for the lease;
    /// nil for none.
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

    /// The certificate that another process has stored during the wait for the lease.
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
