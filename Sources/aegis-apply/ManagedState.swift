import ConfigModel
import Gateway
import Issuers
import PKI
import Reconciler
import SQLiteState
import State
import SystemPackage

/// The part of a state that decides when certificates are obtained and renewed.
struct ManagedState {
    private var settings = GatewaySettings()
    private(set) var issuers: [String: Issuer] = [:]
    private(set) var certificates: [String: ManagedCertificate] = [:]
    private var stored: [String: CertificateFacts] = [:]
    private var progress: [String: RenewalProgress]
    /// The names of disabled hosts, whose certificates nobody obtains or renews.
    private var disabledHosts: Set<String> = []
    /// The issued certificates with `auto_renew: false`, by name. Only an operator's command renews them.
    private var unrenewed: [String: ManagedCertificate] = [:]
    private let store: SQLiteStateStore

    init(_ store: SQLiteStateStore) throws {
        self.store = store
        progress = Dictionary(try store.renewals().map { ($0.certificate, $0) }) { $1 }
        try store.readChanges(since: 0) { change in
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

    /// The certificates of these names. Without names: all of them if `orAll`, else none. `forced` includes
    /// certificates that are not renewed automatically. Throws a CommandFailure for a name that is unknown, or whose
    /// certificate Aegis does not renew.
    func select(_ names: [String], orAll: Bool, forced: Bool = false) throws -> [ManagedCertificate] {
        if names.isEmpty { return orAll ? certificates.values.sorted { $0.name < $1.name } : [] }
        return try names.map { name in
            if let certificate = certificates[name] ?? (forced ? unrenewed[name] : nil) { return certificate }
            throw try obstacle(to: name)
        }
    }

    /// Why no certificate of that name can be renewed.
    private func obstacle(to name: String) throws -> CommandFailure {
        if let facts = stored[name] {
            if disabledHosts.contains(name), facts.source != .custom {
                return CommandFailure(
                    message: "the host '\(name)' is disabled, so its certificate is not renewed",
                    hint: "it is renewed, if it is due, when the host is enabled again")
            }
            return CommandFailure(
                message: "the certificate '\(name)' is not renewed by Aegis",
                hint: unrenewed[name] == nil
                    ? "your own certificates are replaced by an apply"
                    : "its auto_renew is false; --force has it reissued")
        }
        guard try store.keptCertificate(named: name) == nil else {
            return CommandFailure(
                message:
                    "the certificate '\(name)' is only kept: nothing in the file refers to it, so it is not renewed",
                hint: "an apply uses it again, and renews it if it is due, when the file declares it again")
        }
        let near = Suggestion.nearest(to: name, in: certificates.keys.sorted().prefix(10_000))
        return CommandFailure(
            message: "there is no certificate '\(name)'",
            hint: near.map { "did you mean '\($0)'?" } ?? "'aegis-apply certificates' lists them")
    }

    func isDue(_ certificate: ManagedCertificate, now: Int64) -> Bool {
        now >= certificate.dueAt(stored[certificate.name], from: issuers, after: progress[certificate.name])
    }

    /// The time of the next try for a certificate that could not be obtained, in seconds since 1970; nil for other
    /// certificates. After a forced renewal has failed, the certificate is tried when it is due, which may be much
    /// later.
    func nextTry(of name: String) -> Int64? {
        guard let progress = progress[name], progress.failures > 0, !isLeft(name) else { return nil }
        return certificates[name]?.dueAt(stored[name], from: issuers, after: progress) ?? progress.nextTryAt
    }

    /// Whether nobody obtains a certificate now because its host is disabled.
    private func isLeft(_ name: String) -> Bool { certificates[name] == nil && disabledHosts.contains(name) }

    /// Whether a certificate is due, ignoring that a failure delays the next try.
    func isWanted(_ certificate: ManagedCertificate, now: Int64) -> Bool {
        var progress = progress[certificate.name]
        progress?.nextTryAt = nil
        return now >= certificate.dueAt(stored[certificate.name], from: issuers, after: progress)
    }

    /// For a certificate that is due but waits after a failure: the end of the wait, in seconds since 1970, and the
    /// reason of the failure. Nil for other certificates.
    func wait(of certificate: ManagedCertificate, now: Int64) -> (until: Int64, reason: String)? {
        guard !isDue(certificate, now: now), isWanted(certificate, now: now), let progress = progress[certificate.name]
        else { return nil }
        return progress.nextTryAt.map { ($0, progress.lastFailure ?? "") }
    }

    /// Whether a certificate that could not be obtained is needed now. It is not needed when its host is disabled, or
    /// when the stored certificate is good and only a forced renewal has failed.
    func isMissed(_ name: String, now: Int64) -> Bool {
        if isLeft(name) { return false }
        guard let certificate = certificates[name] ?? unrenewed[name] else { return stored[name] == nil }
        return isWanted(certificate, now: now)
    }

    /// Whether to ask the CA of a certificate for renewal advice: the certificate is not due yet, and no process has
    /// asked recently.
    func mayBeAdvised(_ certificate: ManagedCertificate, now: Int64) -> Bool {
        guard let facts = stored[certificate.name], facts.source.provider?.givesAdvice == true,
            !isWanted(certificate, now: now)
        else { return false }
        let progress = progress[certificate.name]
        return progress?.advisedFingerprint != facts.fingerprint || progress?.nextAdviceAt ?? 0 <= now
    }

    /// Asks CAs when to renew these certificates, and warns of CAs that do not answer.
    mutating func takeAdvice(on certificates: [ManagedCertificate], _ tools: IssuanceContext) throws {
        let now = currentTime()
        let asked = certificates.filter { mayBeAdvised($0, now: now) }
        guard !asked.isEmpty else { return }
        let round = AdviceRound(tools)
        let issuers = self.issuers
        let all = Array(issuers.values)
        let tellWaiting = { (_: Int, _: [(input: ManagedCertificate, reason: String)]) in
            Terminal.complain("  still asking CAs when they would have certificates renewed\n")
        }
        try ParallelWork(count: 8).run(asked, at: { $0.place(among: issuers) }, stillWaiting: tellWaiting) {
            (certificate, _: (Never) -> Void) in
            round.ask(about: certificate, from: all)
        } receive: { _ in
        }
        for failure in round.failures {
            Terminal.complain(
                "aegis-apply: \(failure.directory) does not say when it would have certificates renewed: \(failure.reason)\n"
            )
        }
        progress = Dictionary(try tools.store.renewals().map { ($0.certificate, $0) }) { $1 }
    }

    /// Where challenges are published. They are answered by the gateways, or by this process when none is running.
    func board(_ tools: IssuanceContext) -> ChallengeBoard {
        ChallengeBoard(store: tools.store, holder: tools.holder) { [settings] () throws(IssuanceFailure) in
            try ChallengeResponder(settings)
        }
    }

    /// The sources of the state's certificates.
    func sources(_ tools: IssuanceContext) -> CertificateSources {
        let cache =
            Terminal.environment("AEGIS_SSL_CACHE_DIR").map { FilePath($0) }
            ?? tools.secrets.resolve(settings.cacheDirectory)
        return CertificateSources(
            local: Result { () throws(IssuanceFailure) in try LocalAuthority(directory: cache, now: currentTime()) },
            board: board(tools), tools)
    }

    func jobs(
        _ wanted: [ManagedCertificate], _ tools: IssuanceContext, startsAnew: Bool
    ) -> [(name: String, place: String, job: CertificateJob)] {
        let sources = sources(tools)
        return wanted.map { certificate in
            let job = CertificateJob(
                certificate, issuers: Array(issuers.values), store: tools.store, sealer: tools.sealer,
                sources: sources, actor: tools.holder.actor, startsAnew: startsAnew)
            return (certificate.name, certificate.place(among: issuers), job)
        }
    }

    /// The ACME issuer of that name. Throws a CommandFailure when there is none.
    func acmeIssuer(named name: String) throws -> ACMEIssuer {
        if let settings = issuers[name]?.settings as? ACMEIssuer { return settings }
        let names = issuers.values.filter { $0.settings is ACMEIssuer }.map(\.name).sorted()
        throw CommandFailure(
            message: "there is no ACME issuer '\(name)' in the state",
            hint: names.isEmpty ? "aegis-apply puts them there" : "there are: \(names.joined(separator: ", "))")
    }
}
