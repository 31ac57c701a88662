import ConfigModel
import Glibc
import Issuers
import PKI
import State

/// Has one certificate and stores it: what a thread beside the control side does.
struct CertificateJob: Sendable {
    let certificate: ManagedCertificate
    /// All issuers of the state.
    let issuers: [Issuer]
    let store: any StateStore
    let sealer: Sealer
    let sources: CertificateSources
    let actor: String

    /// What came of it.
    enum Outcome: Sendable {
        /// It is in the state.
        case stored
        /// Another process is having it.
        case busy
        /// It was changed or deleted meanwhile.
        case obsolete
        case failed(IssuanceFailure)
    }

    func run() -> Outcome {
        let name = certificate.name
        do {
            let keeper = try LeaseKeeper(.certificate(name), in: store)
            defer { keeper.release() }
            try obtain(keeper.holder)
            try store.noteSuccess(of: name)
            return .stored
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

    private func obtain(_ holder: LeaseHolder) throws {
        let name = certificate.name
        let obtained = try sources.obtain(certificate.value, named: name, for: [], from: issuers)
        let stored = try obtained.stored(
            named: name, owner: .file, record: certificate.record, sealer: sealer, now: Self.now)
        try store.commit(
            [certificate.requirement, .putCertificate(stored), .appendEvent(event(failure: nil))]
                + obtained.material.closing,
            by: holder, under: .certificate(name))
    }

    private func event(failure: String?) -> AuditEvent {
        AuditEvent(
            at: Self.now, actor: actor, action: "issue", item: ItemID(.certificate, certificate.name),
            failure: failure)
    }

    private static var now: Int64 { Int64(time(nil)) }
}
