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

    /// If `names` is given, only the facts about the certificates with these names are certain to be complete.
    package init(_ store: any StateStore, only names: [String]? = nil) throws {
        self.store = store
        progress = Dictionary(try store.renewals().map { ($0.certificate, $0) }) { $1 }
        guard let names, names.count <= Self.mostSingleNames else {
            try readAll()
            return
        }
        for kind in [ItemKind.gateway, .issuer] {
            for (name, item) in try store.items(of: kind) { note(ItemID(kind, name), item) }
        }
        for name in names {
            if let item = try store.item(ItemID(.host, name)) { note(ItemID(.host, name), item) }
            if let certificate = try store.certificate(named: name) { note(certificate) }
        }
    }

    /// For more names, reading everything at once costs less.
    private static let mostSingleNames = 100

    private mutating func readAll() throws {
        // The changes since revision 0 contain all items.
        _ = try store.readChanges(since: 0) { change in
            switch change {
            case .item(let id, let item): note(id, item)
            case .certificate(let certificate): note(certificate)
            default: break
            }
        }
    }

    private mutating func note(_ id: ItemID, _ item: StoredItem) {
        switch id.kind {
        case .gateway: settings = GatewaySettings(record: item.record) ?? settings
        case .issuer:
            guard var issuer = Issuer(record: item.record) else { return }
            issuer.name = id.name
            issuers[id.name] = issuer
        case .host:
            guard let host = Host(record: item.record) else { return }
            if !host.enabled { disabledHosts.insert(id.name) }
            if let certificate = ManagedCertificate(host, record: item.record) { certificates[id.name] = certificate }
        default: break
        }
    }

    private mutating func note(_ certificate: StoredCertificate) {
        stored[certificate.name] = certificate.facts
        if certificates[certificate.name] == nil {
            certificates[certificate.name] = ManagedCertificate(certificate)
        }
        if !certificate.facts.autoRenew {
            unrenewed[certificate.name] = ManagedCertificate(
                named: certificate.name, record: certificate.record, autoRenew: true, source: certificate.facts.source)
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
    package func isWanted(_ certificate: ManagedCertificate, now: Int64) -> Bool { now >= wantedFrom(certificate) }

    private func wantedFrom(_ certificate: ManagedCertificate) -> Int64 {
        var progress = progress[certificate.name]
        progress?.nextTryAt = nil
        return certificate.dueAt(stored[certificate.name], from: issuers, after: progress)
    }

    /// For a certificate that is due but waits after a failure: the end of the wait, in seconds since 1970, and the
    /// reason of the failure. Nil for other certificates.
    package func wait(of certificate: ManagedCertificate, now: Int64) -> (until: Int64, reason: String)? {
        guard !isDue(certificate, now: now), isWanted(certificate, now: now), let progress = progress[certificate.name]
        else { return nil }
        return progress.nextTryAt.map { ($0, progress.lastFailure ?? "") }
    }

    /// From when on a certificate that could not be obtained is needed, in seconds since 1970. It is never needed when
    /// its host is disabled. When the stored certificate is good and only a forced renewal has failed, it is needed
    /// when the stored one is due.
    func isNeededFrom(_ name: String) -> Int64 {
        if isLeft(name) { return .max }
        guard let certificate = certificates[name] ?? unrenewed[name] else { return stored[name] == nil ? .min : .max }
        return wantedFrom(certificate)
    }

    /// When each certificate that Aegis renews is due, the next first. The delay after a failed try is included. Times
    /// are in seconds since 1970.
    package func calendar() -> [(certificate: ManagedCertificate, facts: CertificateFacts?, dueAt: Int64)] {
        certificates.values.map { certificate in
            let facts = stored[certificate.name]
            return (certificate, facts, certificate.dueAt(facts, from: issuers, after: progress[certificate.name]))
        }.sorted { ($0.dueAt, $0.certificate.name) < ($1.dueAt, $1.certificate.name) }
    }
}
