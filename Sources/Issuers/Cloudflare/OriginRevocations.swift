import ACME
import Cloudflare
import ConfigModel
import State

/// Revokes certificates of Cloudflare's Origin CA that are no longer wanted.
public struct OriginRevocations: Sendable {
    private let tools: IssuanceTools

    /// Revocations by this process.
    public init(_ tools: IssuanceTools) { self.tools = tools }

    /// How long gateways may take to have a change in force, in milliseconds.
    private static let patienceMilliseconds = 15_000
    private static let pauseMilliseconds = 20

    /// Revokes what others have taken the place of, once all gateways that are alive serve those. `issuers` are all of the state.
    ///
    /// What can't be revoked now stays noted, and is tried again later. Returns an event for each that was tried.
    public func revokeSuperseded(issuers: [Issuer]) throws(StateError) -> [AuditEvent] {
        let now = tools.now()
        let waiting = try tools.store.supersededCertificates().filter { $0.nextTryAt <= now }
        guard !waiting.isEmpty, try areGatewaysUpToDate() else { return [] }
        var events: [AuditEvent] = []
        for certificate in waiting {
            let failure = try revoke(certificate, issuers)
            events.append(
                AuditEvent(
                    at: tools.now(), actor: tools.holder.actor, action: "revoke",
                    item: ItemID(.certificate, certificate.certificate), failure: failure?.reason))
        }
        try tools.store.record(events: events)
        return events
    }

    private func revoke(
        _ certificate: SupersededCertificate, _ issuers: [Issuer]
    ) throws(StateError) -> IssuanceFailure? {
        guard case .cloudflareOrigin(let settings)? = issuers.first(where: { $0.name == certificate.issuer })?.kind
        else {
            try tools.store.deleteSuperseded(id: certificate.id)
            return IssuanceFailure(
                "\(certificate.id) at Cloudflare is not revoked: issuer '\(certificate.issuer)' is gone")
        }
        do throws(IssuanceFailure) {
            try revoke(certificate.id, settings)
        } catch {
            var failed = certificate
            failed.failures += 1
            let delay = RetrySchedule.delaySeconds(afterFailures: failed.failures)
            failed.nextTryAt = max(tools.now() + delay, error.notBefore ?? 0)
            try tools.store.updateSuperseded(failed)
            return error
        }
        try tools.store.deleteSuperseded(id: certificate.id)
        return nil
    }

    /// Revokes a certificate, which can't be undone. One that is revoked already is no error.
    public func revoke(_ id: String, _ settings: CloudflareOriginIssuer) throws(IssuanceFailure) {
        let client = try CloudflareClient(settings, secrets: tools.secrets)
        do throws(CloudflareError) {
            try client.revoke(id)
        } catch {
            throw IssuanceFailure(error, now: tools.now())
        }
    }

    /// Whether all gateways that are alive have what the state is now; waits for those that are late.
    private func areGatewaysUpToDate() throws(StateError) -> Bool {
        let revision = try tools.store.revision()
        var waited = 0
        while true {
            let now = tools.now()
            let isLate = try tools.store.nodes().contains { $0.isServing(at: now) && $0.position.revision < revision }
            guard isLate else { return true }
            guard waited < Self.patienceMilliseconds else { return false }
            Pause.wait(.milliseconds(Self.pauseMilliseconds))
            waited += Self.pauseMilliseconds
        }
    }
}
