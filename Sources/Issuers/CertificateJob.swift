import ConfigModel
import Glibc
import PKI
import State

/// Has one certificate and stores it, from the state alone: for gateways, and for operators who want one renewed.
package struct CertificateJob: Sendable {
    private let certificate: ManagedCertificate
    private let issuers: [Issuer]
    private let store: any StateStore
    private let sealer: Sealer
    private let sources: CertificateSources
    private let actor: String
    private let startsAnew: Bool

    /// A job. `issuers` are all of the state; `actor` is who is named in events; `startsAnew` gives up an order of which nobody
    /// can tell whether a certificate has come.
    package init(
        _ certificate: ManagedCertificate, issuers: [Issuer], store: any StateStore, sealer: Sealer,
        sources: CertificateSources, actor: String, startsAnew: Bool = false
    ) {
        self.certificate = certificate
        self.issuers = issuers
        self.store = store
        self.sealer = sealer
        self.sources = sources
        self.actor = actor
        self.startsAnew = startsAnew
    }

    /// What came of it.
    package enum Outcome: Sendable {
        /// It is in the state, with doubts that do not keep it from being used, to stand behind its name.
        case stored(warnings: [String])
        /// Another process is having it.
        case busy
        /// It was changed or deleted meanwhile.
        case obsolete
        /// It could not be obtained.
        case failed(IssuanceFailure)
    }

    /// Does it. Blocks for as long as a CA takes.
    package func run() -> Outcome {
        let name = certificate.name
        do {
            let keeper = try LeaseKeeper(.certificate(name), in: store)
            defer { keeper.release() }
            return .stored(warnings: try obtain(keeper.holder))
        } catch is LeaseKeeper.Held {
            return .busy
        } catch StateError.changedMeanwhile {
            return .obsolete
        } catch {
            let failure = error as? IssuanceFailure ?? IssuanceFailure("\(error)")
            try? store.record(events: [event(failure: failure.reason)])
            try? store.noteFailure(failure, of: name, now: Self.now)
            return .failed(failure)
        }
    }

    /// Has it stored. What is to be told of it.
    private func obtain(_ holder: LeaseHolder) throws -> [String] {
        let name = certificate.name
        let obtained = try sources.obtain(
            certificate.value, named: name, for: [], from: issuers, startsAnew: startsAnew)
        let stored = try obtained.stored(
            named: name, owner: .file, record: certificate.record, sealer: sealer, now: Self.now)
        try store.commit(
            [certificate.requirement, .putCertificate(stored), .appendEvent(event(failure: nil))]
                + obtained.material.closing,
            by: holder, under: .certificate(name))
        return obtained.material.warnings
    }

    private func event(failure: String?) -> AuditEvent {
        AuditEvent(
            at: Self.now, actor: actor, action: "issue", item: ItemID(.certificate, certificate.name),
            failure: failure)
    }

    private static var now: Int64 { Int64(time(nil)) }
}
