import ConfigModel
import Glibc
import PKI
import State

/// Obtains one certificate and stores it. The job reads all its input from the state. Gateways and the command `renew`
/// use this type.
package struct CertificateJob: Sendable {
    private let certificate: ManagedCertificate
    private let issuers: [Issuer]
    private let store: any StateStore
    private let sealer: Sealer
    private let sources: CertificateSources
    private let actor: String
    private let startsAnew: Bool

    /// Makes a job. `issuers` are all issuers in the state. `actor` is the author in recorded events. With
    /// `startsAnew`, the job deletes an earlier order with an unknown outcome and places a new one.
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

    package enum Outcome: Sendable {
        /// The certificate is in the state and can be used. Messages put its name before each warning.
        case stored(warnings: [String])
        /// Another process is obtaining the certificate.
        case busy
        /// The certificate's declaration was changed or deleted while the job ran, so the result was not stored.
        case obsolete
        case failed(IssuanceFailure)
    }

    /// Obtains and stores the certificate. This may take minutes, until the CA has issued.
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
            // The job ended because the process is ending, so the next try need not wait as it does after a failure.
            guard !StepGate.isCutShort else { return .failed(failure) }
            try? store.record(events: [event(failure: failure.reason)])
            try? store.noteFailure(failure, of: name, now: Self.now)
            return .failed(failure)
        }
    }

    /// Obtains and stores the certificate. Returns warnings for the operator.
    private func obtain(_ holder: LeaseHolder) throws -> [String] {
        let name = certificate.name
        let obtained = try sources.obtain(
            certificate.value, named: name, for: [], from: issuers, startsAnew: startsAnew)
        let stored = try obtained.stored(
            named: name, owner: try owner(), record: certificate.record, sealer: sealer, now: Self.now)
        try store.commit(
            [certificate.requirement, .putCertificate(stored), .appendEvent(event(failure: nil))]
                + obtained.material.closing,
            by: holder, under: .certificate(name))
        return obtained.material.warnings
    }

    /// The owner of the item that declares the certificate. If the state has no such item, the owner is `file`.
    private func owner() throws(StateError) -> StoredItem.Owner {
        let owner =
            switch certificate.declaration {
            case .host: try store.item(ItemID(.host, certificate.name))?.owner
            case .named: try store.certificate(named: certificate.name)?.owner
            }
        return owner ?? .file
    }

    private func event(failure: String?) -> AuditEvent {
        AuditEvent(
            at: Self.now, actor: actor, action: "issue", item: ItemID(.certificate, certificate.name),
            failure: failure)
    }

    private static var now: Int64 { Int64(time(nil)) }
}
