import ACME
import ConfigModel
import PKI
import State

/// Has certificates from ACME CAs (RFC 8555), so that a crash repeats nothing.
///
/// Whatever can't be repeated is in the state's journal before it is done: the key and the request before the order, the
/// order's address before it is answered, its finalization before it is asked for. Who is killed leaves an order that the next
/// one takes up. The certificate's lease sees to it that one process at a time orders it. Threads may share it.
public final class ACMEOrders: Sendable {
    private let store: any StateStore
    private let holder: LeaseHolder
    private let sealer: Sealer
    private let secrets: SecretReader
    private let board: ChallengeBoard
    private let accounts: ACMEAccounts
    private let now: @Sendable () -> Int64

    /// How long another process may take with the same certificate, in seconds.
    private static let patienceSeconds: Int64 = 300

    /// For who holds, or will hold, the certificates' leases. `now` gives seconds since 1970.
    public init(
        store: any StateStore, holder: LeaseHolder, sealer: Sealer, secrets: SecretReader, board: ChallengeBoard,
        now: @escaping @Sendable () -> Int64
    ) {
        self.store = store
        self.holder = holder
        self.sealer = sealer
        self.secrets = secrets
        self.board = board
        self.now = now
        accounts = ACMEAccounts(store: store, sealer: sealer, secrets: secrets, now: now)
    }

    /// Has a certificate from the first of its issuers that gives one. Its order and its lease end with the commit of the
    /// material's `closing`.
    ///
    /// When another process was having it meanwhile, what that one stored is the result.
    public func obtain(_ need: CertificateNeed) throws(IssuanceFailure) -> IssuedMaterial {
        let (keeper, known) = try takeLease(need.name)
        do throws(IssuanceFailure) {
            let material: IssuedMaterial
            if let done = try stored(need, besides: known) { material = done } else { material = try order(need) }
            keeper.stopRenewing()
            return material
        } catch {
            keeper.release()
            throw error
        }
    }

    /// Has a CA revoke a certificate in DER, which can't be taken back.
    public func revoke(
        _ certificate: [UInt8], reason: ACMERevocationReason, by settings: ACMEIssuer
    ) throws(IssuanceFailure) {
        do {
            try accounts.client(for: settings).revoke(certificate, reason: reason)
        } catch {
            throw error as? IssuanceFailure ?? IssuanceFailure("\(error)")
        }
    }

    /// Gives our account at a CA another key (RFC 8555 section 7.3.5).
    public func changeAccountKey(at settings: ACMEIssuer) throws(IssuanceFailure) {
        do {
            try accounts.changeKey(settings)
        } catch {
            throw error as? IssuanceFailure ?? IssuanceFailure("\(error)")
        }
    }

    /// Asks a CA when it would have a certificate renewed (RFC 9773), picks an instant of that window, and notes it.
    func takeAdvice(on name: String, from settings: ACMEIssuer) {
        guard let stored = try? store.certificate(named: name),
            let leaf = try? CertificateChain(pem: stored.chain).leaf
        else { return }
        var progress = (try? store.renewal(of: name)) ?? RenewalProgress(certificate: name)
        if progress.advisedFingerprint != leaf.fingerprint { progress.advisedAt = nil }
        progress.advisedFingerprint = leaf.fingerprint
        do {
            guard let id = ACMERenewalInfo.certificateID(of: leaf) else { throw ACMEError.unsupported("renewalInfo") }
            let advice = try accounts.client(for: settings).renewalInfo(id)
            progress.advisedAt = advice.instant(keeping: progress.advisedAt)
            progress.nextAdviceAt = now() + advice.checkDelaySeconds
        } catch {
            // A CA without advice may have some one day.
            progress.nextAdviceAt = now() + ACMERenewalInfo.errorDelaySeconds
        }
        try? store.putRenewal(progress)
    }

    /// The lease, and the fingerprint of the certificate that there was when we began to ask for it; nil for none.
    private func takeLease(_ name: String) throws(IssuanceFailure) -> (LeaseKeeper, known: String?) {
        do {
            let known = try store.certificate(named: name)?.facts.fingerprint
            let end = now() + Self.patienceSeconds
            while true {
                do {
                    return (try LeaseKeeper(.certificate(name), in: store), known)
                } catch let held as LeaseKeeper.Held where now() >= end {
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
    private func stored(_ need: CertificateNeed, besides known: String?) throws(IssuanceFailure) -> IssuedMaterial? {
        do {
            guard let stored = try store.certificate(named: need.name), stored.facts.fingerprint != known,
                Set(stored.facts.domains) == Set(need.names)
            else { return nil }
            let key = try PrivateKey(der: stored.openKey(sealer))
            return IssuedMaterial(
                chain: try CertificateChain(pem: stored.chain, key: key), key: key, sourceDigest: [], warnings: [],
                closing: [.endOrder(certificate: need.name)])
        } catch {
            throw IssuanceFailure("\(error)")
        }
    }

    private func order(_ need: CertificateNeed) throws(IssuanceFailure) -> IssuedMaterial {
        var issuers = need.issuers
        do throws(StateError) {
            // What was begun is finished first.
            if let pending = try store.pendingOrder(for: need.name),
                let index = issuers.firstIndex(where: { $0.name == pending.issuer })
            {
                issuers.insert(issuers.remove(at: index), at: 0)
            }
        } catch {
            throw IssuanceFailure("\(error)")
        }
        var failures: [(issuer: String, failure: IssuanceFailure)] = []
        for issuer in issuers {
            do {
                let run = ACMEOrderRun(
                    need: need, issuer: issuer, store: store, holder: holder, sealer: sealer, secrets: secrets,
                    board: board, accounts: accounts, now: now)
                return try run.obtain()
            } catch let failure as IssuanceFailure {
                failures.append((issuer.name, failure))
            } catch {
                failures.append((issuer.name, IssuanceFailure("\(error)")))
            }
        }
        guard failures.count > 1 else {
            throw failures.first?.failure ?? IssuanceFailure("it has no issuer")
        }
        throw IssuanceFailure(
            failures.map { "\($0.issuer): \($0.failure.reason)" }.joined(separator: "; "),
            hint: failures.compactMap(\.failure.hint).first,
            notBefore: failures.compactMap(\.failure.notBefore).min())
    }
}
