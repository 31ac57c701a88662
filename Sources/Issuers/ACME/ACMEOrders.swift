import ACME
import ConfigModel
import HTTPClient
import PKI
import State

/// Obtains certificates from ACME CAs (RFC 8555).
///
/// After a crash, the next try resumes the order. For that, the state's journal stores the key and the certificate
/// request before the order is placed, the order's URL before its challenges are answered, and the mark "finalized"
/// before the certificate request is sent. The lease on the certificate ensures that only one process orders the
/// certificate at a time. Threads may share this object.
package final class ACMEOrders: Sendable {
    private let context: IssuanceContext
    private let board: ChallengeBoard
    private let accounts: ACMEAccounts

    /// Makes the object for this process. Challenges are published on `board`.
    package init(_ context: IssuanceContext, board: ChallengeBoard) {
        self.context = context
        self.board = board
        accounts = ACMEAccounts(
            store: context.store, sealer: context.sealer, secrets: context.secrets, now: context.now)
    }

    private var store: any StateStore { context.store }

    /// Obtains a certificate from a CA. The caller must commit the material together with its `closing`, which ends the
    /// order in the journal and the lease.
    func issue(_ need: WantedCertificate, by issuer: ACMEAuthority) throws(IssuanceFailure) -> IssuedMaterial {
        do {
            return try ACMEOrderRun(
                need: need, issuer: issuer, store: store, holder: context.holder, sealer: context.sealer,
                secrets: context.secrets, board: board, accounts: accounts, now: context.now
            ).obtain()
        } catch {
            throw failure(error, at: issuer.settings)
        }
    }

    /// Asks a CA to revoke a certificate in DER; a revocation can't be undone. `key` is the certificate's private key.
    /// With `key`, the CA accepts the request even if it does not know the account or another account ordered the
    /// certificate.
    package func revoke(
        _ certificate: [UInt8], reason: RevocationReason, by settings: ACMEIssuer, key: PrivateKey?
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

    /// Asks the CA that issued a certificate for its renewal information (RFC 9773) and stores a time in the suggested
    /// period.
    func takeAdvice(on name: String, from issuers: [ACMEIssuer]) {
        let advice = RenewalAdvice(store: store, now: context.now, isWaitedFor: false) {
            try self.accounts.client(for: $0)
        }
        // A failure is not reported, since the CA will be asked again later.
        _ = advice.refresh(for: name, from: issuers)
    }

    /// Makes a failure from an error, and hides secrets that the CA or a webhook may have quoted.
    private func failure(_ error: any Error, at settings: ACMEIssuer) -> IssuanceFailure {
        SecretMask(settings, context.secrets).hiding(in: IssuanceFailure(error, now: context.now()))
    }
}
