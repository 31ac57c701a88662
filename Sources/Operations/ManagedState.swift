import ConfigModel
import Issuers
import State

/// The part of a state that decides when certificates are obtained and renewed.
package struct ManagedState {
    package private(set) var settings = GatewaySettings()
    package private(set) var issuers: [String: Issuer] = [:]
    package private(set) var certificates: [String: ManagedCertificate] = [:]
    package private(set) var stored: [String: CertificateFacts] = [:]
    /// Failures and advice by certificate name.
    package var progress: [String: RenewalProgress]
    /// The names of disabled hosts, whose certificates nobody obtains or renews.
    package private(set) var disabledHosts: Set<String> = []
    /// The issued certificates with `auto_renew: false`, by name. Only an operator's command renews them.
    package private(set) var unrenewed: [String: ManagedCertificate] = [:]
    package let store: any StateStore

    package init(_ store: any StateStore) throws {
        self.store = store
        progress = Dictionary(try store.renewals().map { ($0.certificate, $0) }) { $1 }
        // From revision 0 all items come.
        _ = try store.readChanges(since: 0) { change in
            switch change {
            case .item(let id, let item):
                switch id.kind {
                case .gateway: settings = GatewaySettings(record: item.record) ?? settings
                case .issuer:
                    guard var issuer = Issuer(record: item.record) else { return }
                    issuer.name = id.name
                    issuers[id.name] = issuer
                case .host:
                    guard let host = Host(record: item.record) else { return }
                    if !host.enabled { disabledHosts.insert(id.name) }
                    if let certificate = ManagedCertificate(host, record: item.record) {
                        certificates[id.name] = certificate
                    }
                default: break
                }
            case .certificate(let certificate):
                stored[certificate.name] = certificate.facts
                if certificates[certificate.name] == nil {
                    certificates[certificate.name] = ManagedCertificate(certificate)
                }
                if !certificate.facts.autoRenew {
                    unrenewed[certificate.name] = ManagedCertificate(
                        named: certificate.name, record: certificate.record, autoRenew: true,
                        source: certificate.facts.source)
                }
            default: break
            }
        }
    }

    package func isDue(_ certificate: ManagedCertificate, now: Int64) -> Bool {
        now >= certificate.dueAt(stored[certificate.name], from: issuers, after: progress[certificate.name])
    }

    /// The time of the next try for a certificate that could not be obtained, in seconds since 1970; nil for other
    /// certificates. After a forced renewal has failed, the certificate is tried when it is due, which may be much
    /// later.
    package func nextTry(of name: String) -> Int64? {
        guard let progress = progress[name], progress.failures > 0, !isLeft(name) else { return nil }
        return certificates[name]?.dueAt(stored[name], from: issuers, after: progress) ?? progress.nextTryAt
    }

    /// Whether nobody obtains a certificate now because its host is disabled.
    private func isLeft(_ name: String) -> Bool { certificates[name] == nil && disabledHosts.contains(name) }

    /// Whether a certificate is due, ignoring that a failure delays the next try.
    package func isWanted(_ certificate: ManagedCertificate, now: Int64) -> Bool {
        var progress = progress[certificate.name]
        progress?.nextTryAt = nil
        return now >= certificate.dueAt(stored[certificate.name], from: issuers, after: progress)
    }

    /// For a certificate that is due but waits after a failure: the end of the wait, in seconds since 1970, and the
    /// reason of the failure. Nil for other certificates.
    package func wait(of certificate: ManagedCertificate, now: Int64) -> (until: Int64, reason: String)? {
        guard !isDue(certificate, now: now), isWanted(certificate, now: now), let progress = progress[certificate.name]
        else { return nil }
        return progress.nextTryAt.map { ($0, progress.lastFailure ?? "") }
    }

    /// Whether a certificate that could not be obtained is needed now. It is not needed when its host is disabled, or
    /// when the stored certificate is good and only a forced renewal has failed.
    package func isMissed(_ name: String, now: Int64) -> Bool {
        if isLeft(name) { return false }
        guard let certificate = certificates[name] ?? unrenewed[name] else { return stored[name] == nil }
        return isWanted(certificate, now: now)
    }

    /// When each certificate that Aegis renews is due, with a failed try's delay, the next first. Times are in seconds
    /// since 1970.
    package func calendar() -> [(certificate: ManagedCertificate, facts: CertificateFacts?, dueAt: Int64)] {
        certificates.values.map { certificate in
            let facts = stored[certificate.name]
            return (certificate, facts, certificate.dueAt(facts, from: issuers, after: progress[certificate.name]))
        }.sorted { ($0.dueAt, $0.certificate.name) < ($1.dueAt, $1.certificate.name) }
    }
}
