import ConfigModel
import Gateway
import Issuers
import Operations
import PKI
import Reconciler
import SQLiteState
import State
import SystemPackage

/// What commands need for the certificates of a state: renewal advice, challenges and sources.
extension ManagedState {
    /// Asks CAs when to renew these certificates, and warns of CAs that do not answer.
    mutating func takeAdvice(on certificates: [ManagedCertificate], _ context: IssuanceContext) throws {
        let now = currentTime()
        let asked = certificates.filter { mayBeAdvised($0, now: now) }
        guard !asked.isEmpty else { return }
        let round = AdviceRound(context)
        let issuers = self.issuers
        let all = Array(issuers.values)
        let since = ContinuousClock.now
        let tellWaiting = { (_: Int, _: [(input: ManagedCertificate, reason: String)]) in
            Terminal.complain(
                "  still asking CAs when they would have certificates renewed (\(since.secondsPassed) s)\n")
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
        progress = Dictionary(try context.store.renewals().map { ($0.certificate, $0) }) { $1 }
    }

    /// The board on which challenges are published. Gateways answer them, or this process if no gateway is running.
    func board(_ context: IssuanceContext) -> ChallengeBoard {
        ChallengeBoard(store: context.store, holder: context.holder) { [settings] () throws(IssuanceFailure) in
            try ChallengeResponder(settings)
        }
    }

    /// The sources that obtain and revoke the state's certificates. The files of the local CA are in the directory that
    /// AEGIS_SSL_CACHE_DIR names, else in that of the settings.
    func sources(_ context: IssuanceContext) -> CertificateSources {
        let cache =
            Terminal.environment("AEGIS_SSL_CACHE_DIR").map { FilePath($0) }
            ?? context.secrets.resolve(settings.cacheDirectory)
        return CertificateSources(
            local: Result { () throws(IssuanceFailure) in try LocalAuthority(directory: cache, now: currentTime()) },
            board: board(context), context)
    }

    func jobs(
        _ wanted: [ManagedCertificate], _ context: IssuanceContext, startsAnew: Bool
    ) -> [(name: String, caID: String, job: CertificateJob)] {
        let sources = sources(context)
        return wanted.map { certificate in
            let job = CertificateJob(
                certificate, issuers: Array(issuers.values), store: context.store, sealer: context.sealer,
                sources: sources, actor: context.holder.actor, startsAnew: startsAnew)
            return (certificate.name, certificate.caID(among: issuers), job)
        }
    }
}
