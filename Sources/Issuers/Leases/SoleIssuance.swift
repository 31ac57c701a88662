import PKI
import State

/// Ensures that only one process at a time obtains a certificate.
struct SoleIssuance {
    let context: IssuanceContext

    /// How long to wait for another process that holds the certificate's lease, in seconds.
    private static let patienceSeconds: Int64 = 300

    /// Runs `work` while this process holds the certificate's lease. The caller must commit the material together with
    /// its `closing`, which ends the order in the journal and the lease.
    ///
    /// If another process has obtained the certificate in the meantime, returns that certificate and does not run
    /// `work`.
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

    /// Takes the lease, and waits for it if necessary. `known` is the fingerprint of the certificate that the state had
    /// before the wait. Nil if the state had none.
    private func takeLease(_ name: String) throws(IssuanceFailure) -> (LeaseKeeper, known: String?) {
        do {
            let known = try context.store.certificate(named: name)?.facts.fingerprint
            let end = context.now() + Self.patienceSeconds
            while true {
                do {
                    return (try LeaseKeeper(.certificate(name), in: context.store), known)
                } catch let held as LeaseKeeper.Held where context.now() >= end {
                    let other = held.lease.holder
                    throw IssuanceFailure(
                        "process \(other.process) on \(other.machine) is having it since"
                            + " \(UTCTime.text(held.lease.since))")
                } catch let held as LeaseKeeper.Held {
                    let other = held.lease.holder
                    WaitNote.during("process \(other.process) on \(other.machine) is obtaining it") {
                        Pause.wait(.milliseconds(250))
                    }
                }
            }
        } catch let failure as IssuanceFailure {
            throw failure
        } catch {
            throw IssuanceFailure("\(error)")
        }
    }

    /// Returns the certificate that another process stored while this process waited for the lease. Returns nil if
    /// there is none.
    private func stored(
        _ name: String, for names: [String], besides known: String?
    ) throws(IssuanceFailure) -> IssuedMaterial? {
        do {
            guard let stored = try context.store.certificate(named: name), stored.facts.fingerprint != known,
                Set(stored.facts.domains) == Set(names)
            else { return nil }
            let key = try PrivateKey(der: stored.openKey(context.sealer))
            return IssuedMaterial(
                chain: try CertificateChain(pem: stored.chain, key: key), key: key, source: stored.facts.source,
                closing: [.endOrder(certificate: name)], remote: stored.remote, directory: stored.facts.directory)
        } catch {
            throw IssuanceFailure("\(error)")
        }
    }
}
