import ConfigModel
import Gateway
import Issuers
import Operations
import PKI
import Reconciler
import SQLiteState
import State
import SystemPackage

/// The operations of commands on the certificates of a state.
extension ManagedState {
    /// The certificates with these names. Without names: all of them if `orAll`, else none. `forced` includes
    /// certificates that are not renewed automatically. Throws a CommandFailure if a name is unknown, or if Aegis does
    /// not renew its certificate.
    func select(_ names: [String], orAll: Bool, forced: Bool = false) throws -> [ManagedCertificate] {
        if names.isEmpty { return orAll ? certificates.values.sorted { $0.name < $1.name } : [] }
        return try names.map { name in
            if let certificate = certificates[name] ?? (forced ? unrenewed[name] : nil) { return certificate }
            throw try obstacle(to: name)
        }
    }

    /// Why no certificate with this name can be renewed.
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
        try ParallelWork(count: 8).run(asked, at: { $0.caID(among: issuers) }, stillWaiting: tellWaiting) {
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

    /// The board on which challenges are published. Gateways answer them, or this process if no gateway is running.
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
    ) -> [(name: String, caID: String, job: CertificateJob)] {
        let sources = sources(tools)
        return wanted.map { certificate in
            let job = CertificateJob(
                certificate, issuers: Array(issuers.values), store: tools.store, sealer: tools.sealer,
                sources: sources, actor: tools.holder.actor, startsAnew: startsAnew)
            return (certificate.name, certificate.caID(among: issuers), job)
        }
    }

    /// The ACME issuer with this name. Throws a CommandFailure if there is none.
    func acmeIssuer(named name: String) throws -> ACMEIssuer {
        if let settings = issuers[name]?.settings as? ACMEIssuer { return settings }
        let names = issuers.values.filter { $0.settings is ACMEIssuer }.map(\.name).sorted()
        throw CommandFailure(
            message: "there is no ACME issuer '\(name)' in the state",
            hint: names.isEmpty ? "aegis-apply puts them there" : "there are: \(names.joined(separator: ", "))")
    }
}
