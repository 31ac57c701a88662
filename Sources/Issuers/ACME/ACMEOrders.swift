import ACME
import ConfigModel
import PKI
import State

/// Has certificates from ACME CAs (RFC 8555), so that a crash repeats nothing.
///
/// Whatever can't be repeated is in the state's journal before it is done: the key and the request before the order, the
/// order's address before it is answered, its finalization before it is asked for. Who is killed leaves an order that the next
/// one takes up. The certificate's lease sees to it that one process at a time orders it. Threads may share it.
package final class ACMEOrders: Sendable {
    private let tools: IssuanceContext
    private let board: ChallengeBoard
    private let accounts: ACMEAccounts

    /// Orders for this process, whose challenges are put on `board`.
    package init(_ tools: IssuanceContext, board: ChallengeBoard) {
        self.tools = tools
        self.board = board
        accounts = ACMEAccounts(store: tools.store, sealer: tools.sealer, secrets: tools.secrets, now: tools.now)
    }

    private var store: any StateStore { tools.store }

    /// Has a certificate from the first of its issuers that gives one. Its order and its lease end with the commit of the
    /// material's `closing`.
    ///
    /// When another process was having it meanwhile, what that one stored is the result.
    package func obtain(_ need: WantedCertificate) throws(IssuanceFailure) -> IssuedMaterial {
        try SoleIssuance(tools: tools).obtain(need.name, for: need.names) {
            () throws(IssuanceFailure) in try order(need)
        }
    }

    /// Has a CA revoke a certificate in DER, which can't be taken back. `key` is the certificate's own: with it a CA does so too
    /// that does not know our account, or not as the one that has ordered it.
    package func revoke(
        _ certificate: [UInt8], reason: ACMERevocationReason, by settings: ACMEIssuer, key: PrivateKey?
    ) throws(IssuanceFailure) {
        do {
            let client = try accounts.client(for: settings)
            do {
                try client.revoke(certificate, reason: reason)
            } catch let error as ACMEError
                where key != nil && ["accountDoesNotExist", "unauthorized"].contains(error.problem?.kind)
            {
                try client.revoke(certificate, reason: reason, key: key)
            }
        } catch let error as ACMEError where error.problem?.kind == "alreadyRevoked" {
            // That is what was wanted: the answer to an earlier call may have been lost.
        } catch {
            throw failure(error, at: settings)
        }
    }

    /// Gives our account at a CA another key (RFC 8555 section 7.3.5).
    package func changeAccountKey(at settings: ACMEIssuer) throws(IssuanceFailure) {
        do {
            try accounts.changeKey(settings)
        } catch {
            throw failure(error, at: settings)
        }
    }

    /// Asks the CA that has issued a certificate when it advises to renew it, and notes that.
    func takeAdvice(on name: String, from issuers: [ACMEIssuer]) {
        let advice = RenewalAdvice(store: store, now: tools.now, isWaitedFor: false) {
            try self.accounts.client(for: $0)
        }
        // A CA that can't be asked now is asked again later.
        _ = advice.take(on: name, from: issuers)
    }

    private func order(_ need: WantedCertificate) throws(IssuanceFailure) -> IssuedMaterial {
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
                    need: need, issuer: issuer, store: store, holder: tools.holder, sealer: tools.sealer,
                    secrets: tools.secrets, board: board, accounts: accounts, now: tools.now)
                var material = try run.obtain()
                let mask = SecretMask(issuer.settings, tools.secrets)
                material.warnings = material.warnings.map { mask.hiding(in: $0) }
                return material
            } catch {
                failures.append((issuer.name, failure(error, at: issuer.settings)))
            }
        }
        guard failures.count > 1 else {
            throw failures.first?.failure ?? IssuanceFailure("it has no issuer")
        }
        throw IssuanceFailure(
            failures.map { "\($0.issuer): \($0.failure.reason)" }.joined(separator: "; "),
            hint: failures.compactMap(\.failure.hint).first,
            // One that says nothing may be asked again as soon as the schedule has it.
            notBefore: failures.map { $0.failure.notBefore ?? 0 }.min())
    }

    /// What went wrong at a CA, without secrets that it or a webhook may quote.
    private func failure(_ error: any Error, at settings: ACMEIssuer) -> IssuanceFailure {
        SecretMask(settings, tools.secrets).hiding(in: IssuanceFailure(error, now: tools.now()))
    }
}
