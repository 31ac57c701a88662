import ACME
import Cloudflare
import ConfigModel
import State

/// Revokes Origin CA certificates that were replaced.
package struct OriginRevocations: Sendable {
    private let context: IssuanceContext

    package init(_ context: IssuanceContext) { self.context = context }

    /// How long gateways may take to apply a change of the state, in milliseconds.
    private static let patienceMilliseconds = 15_000
    private static let pauseMilliseconds = 20

    package struct Outcome: Sendable {
        /// The certificate's name in the state.
        package let certificate: String
        /// The reason why the certificate was not revoked. Nil if it was revoked.
        package let failure: IssuanceFailure?
        /// Whether Aegis will not try again, so that only the operator can revoke the certificate.
        package let isGivenUp: Bool
    }

    /// Revokes replaced certificates after all live gateways serve the replacements. `issuers` are all issuers in the
    /// state. `leaving` are issuers that were just removed.
    ///
    /// If a revocation fails, it is tried again later, as long as the issuer is in the state.
    package func revokeSuperseded(issuers: [Issuer], leaving: [Issuer] = []) throws(StateError) -> [Outcome] {
        let now = context.now()
        let waiting = try context.store.supersededCertificates().filter { $0.nextTryAt <= now }
        guard !waiting.isEmpty, try areGatewaysUpToDate() else { return [] }
        var outcomes: [Outcome] = []
        for certificate in waiting { outcomes.append(try revoke(certificate, issuers, leaving)) }
        try context.store.record(
            events: outcomes.map { outcome in
                AuditEvent(
                    at: context.now(), actor: context.holder.actor, action: "revoke",
                    item: ItemID(.certificate, outcome.certificate), failure: outcome.failure?.reason)
            })
        return outcomes
    }

    private func revoke(
        _ certificate: SupersededCertificate, _ issuers: [Issuer], _ leaving: [Issuer]
    ) throws(StateError) -> Outcome {
        func settings(in issuers: [Issuer]) -> CloudflareOriginIssuer? {
            issuers.first { $0.name == certificate.issuer }?.settings as? CloudflareOriginIssuer
        }
        let known = settings(in: issuers)
        guard let settings = known ?? settings(in: leaving) else {
            return try giveUp(certificate, "issuer '\(certificate.issuer)' is gone")
        }
        do throws(IssuanceFailure) {
            try revoke(certificate.id, settings)
        } catch {
            guard known != nil else {
                return try giveUp(certificate, "\(error.reason); and issuer '\(certificate.issuer)' is gone now")
            }
            var failed = certificate
            failed.failures += 1
            let delay = RetrySchedule.delaySeconds(afterFailures: failed.failures)
            failed.nextTryAt = max(context.now() + delay, error.notBefore ?? 0)
            try context.store.updateSuperseded(failed)
            return Outcome(certificate: certificate.certificate, failure: error, isGivenUp: false)
        }
        try context.store.deleteSuperseded(id: certificate.id)
        return Outcome(certificate: certificate.certificate, failure: nil, isGivenUp: false)
    }

    /// Removes a certificate from the list of those to revoke. From then on only the operator can revoke it.
    private func giveUp(_ certificate: SupersededCertificate, _ reason: String) throws(StateError) -> Outcome {
        try context.store.deleteSuperseded(id: certificate.id)
        let hint =
            "revoke \(certificate.id) in Cloudflare's dashboard; an issuer that stays in the file until then does so"
        return Outcome(
            certificate: certificate.certificate, failure: IssuanceFailure(reason, hint: hint), isGivenUp: true)
    }

    /// Revokes a certificate; a revocation can't be undone. Succeeds if the certificate is already revoked.
    package func revoke(_ id: String, _ settings: CloudflareOriginIssuer) throws(IssuanceFailure) {
        let client = try CloudflareClient(settings, secrets: context.secrets, patience: context.patience)
        do throws(CloudflareError) {
            try client.revoke(id)
        } catch {
            throw IssuanceFailure(error, now: context.now())
        }
    }

    /// Whether all live gateways have applied the current state. Waits up to `patienceMilliseconds` for them.
    private func areGatewaysUpToDate() throws(StateError) -> Bool {
        let revision = try context.store.revision()
        var waited = 0
        while true {
            let now = context.now()
            let isLate = try context.store.nodes().contains { $0.isServing(at: now) && $0.position.revision < revision }
            guard isLate else { return true }
            guard waited < Self.patienceMilliseconds else { return false }
            Pause.wait(.milliseconds(Self.pauseMilliseconds))
            waited += Self.pauseMilliseconds
        }
    }
}
