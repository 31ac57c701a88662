import ACME
import ConfigModel
import HTTPClient
import PKI
import State

/// Obtains certificates from ACME CAs (RFC 8555).
///
/// After a crash, no step is done twice. The state's journal contains each such step before it is done: the key and the
/// certificate request before the order is placed, the order's URL before its challenges are answered, and the mark
/// "finalized" before the certificate request is sent. The next try resumes the order. The lease on the certificate
/// ensures that only one process orders the certificate at a time. Threads may share this object.
package final class ACMEOrders: Sendable {
    private let tools: IssuanceContext
    private let board: ChallengeBoard
    private let accounts: ACMEAccounts

    /// Makes the object for this process. Challenges are published on `board`.
    package init(_ tools: IssuanceContext, board: ChallengeBoard) {
        self.tools = tools
        self.board = board
        accounts = ACMEAccounts(store: tools.store, sealer: tools.sealer, secrets: tools.secrets, now: tools.now)
    }

    private var store: any StateStore { tools.store }

    /// Obtains a certificate from the first of its CAs that issues it. The caller must commit the material together
    /// with its `closing`, which ends the order in the journal and the lease.
    ///
    /// If another process has obtained the certificate in the meantime, that certificate is returned.
    package func obtain(_ need: WantedCertificate) throws(IssuanceFailure) -> IssuedMaterial {
        try SoleIssuance(tools: tools).obtain(need.name, for: need.names) {
            () throws(IssuanceFailure) in try order(need)
        }
    }

    /// Asks a CA to revoke a certificate in DER; a revocation can't be undone. `key` is the certificate's private key.
    /// With `key`, the CA accepts the request even if it does not know the account or another account ordered the
    /// certificate.
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
            // The certificate is already revoked, perhaps by an earlier call whose answer was lost.
        } catch {
            throw failure(error, at: settings)
        }
    }

    /// Replaces the key of the account at a CA (RFC 8555 section 7.3.5).
    package func changeAccountKey(at settings: ACMEIssuer) throws(IssuanceFailure) {
        do {
            try accounts.changeKey(settings)
        } catch {
            throw failure(error, at: settings)
        }
    }

    /// Asks the CA that issued a certificate for its renewal information (RFC 9773) and stores the suggested time.
    func takeAdvice(on name: String, from issuers: [ACMEIssuer]) {
        let advice = RenewalAdvice(store: store, now: tools.now, isWaitedFor: false) {
            try self.accounts.client(for: $0)
        }
        // A failure is not reported, since the CA will be asked again later.
        _ = advice.refresh(for: name, from: issuers)
    }

    private func order(_ need: WantedCertificate) throws(IssuanceFailure) -> IssuedMaterial {
        var issuers = need.issuers
        do throws(StateError) {
            // If the journal has an order, the order's CA is tried first.
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
            // If one of the CAs names no time, the result is 0 and only the retry schedule counts.
            notBefore: failures.map { $0.failure.notBefore ?? 0 }.min())
    }

    /// Makes a failure from an error, and hides secrets that the CA or a webhook may have quoted.
    private func failure(_ error: any Error, at settings: ACMEIssuer) -> IssuanceFailure {
        SecretMask(settings, tools.secrets).hiding(in: IssuanceFailure(error, now: tools.now()))
    }
}
