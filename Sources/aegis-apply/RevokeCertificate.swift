import ArgumentParser
import ConfigModel
import Issuers
import Operations
import PKI
import SQLiteState
import State

struct RevokeCertificate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Have the CA revoke a certificate. This can't be taken back.",
        discussion: """
            It is served on until another takes its place, which a gateway that runs, the next apply or 'renew' sees to, unless \
            its auto_renew is false: then only 'renew --force' does. That of a disabled host is replaced when the host is enabled.
            """)

    /// The reason of a revocation (RFC 5280 section 5.3.1).
    enum Reason: String, ExpressibleByArgument, CaseIterable {
        case unspecified
        case keyCompromise = "key-compromise"
        case superseded
        case cessationOfOperation = "cessation-of-operation"

        var code: RevocationReason {
            switch self {
            case .unspecified: .unspecified
            case .keyCompromise: .keyCompromise
            case .superseded: .superseded
            case .cessationOfOperation: .cessationOfOperation
            }
        }
    }

    @Argument(help: "Its name.")
    var name: String

    @Option(help: "Why: unspecified, key-compromise, superseded or cessation-of-operation.")
    var reason: Reason

    @OptionGroup var options: StateOptions

    func run() throws {
        // Signals are blocked before any thread starts, since threads inherit the mask.
        let signals = StopSignals()
        try reporting {
            let access = try IssuerAccess(options)
            defer { access.store.close() }
            let keeper = try lease(access.store)
            defer { keeper.release() }
            signals.setLastWords("whether '\(name)' is revoked is not known\nhint: run it again: it can be asked twice")
            defer { signals.setLastWords(nil) }
            let certificate = try access.store.required(name)
            let sources = access.state.sources(access.tools)
            var failures: [(issuer: String, failure: IssuanceFailure)] = []
            let issuers = try issuers(of: certificate, access.state)
            for issuer in issuers {
                do {
                    let identity = try tellingOfWaits(for: issuer.caID) {
                        try sources.revoke(certificate, reason.code, by: issuer)
                    }
                    return try end(identity, of: certificate, access.store, keeper.holder)
                } catch let failure as IssuanceFailure {
                    failures.append((issuer.name, failure))
                }
            }
            let reasons = failures.map { "\($0.issuer): \($0.failure.reason)" }.joined(separator: "; ")
            throw CommandFailure(
                message: "'\(name)' is not revoked: \(reasons)", hint: failures.compactMap(\.failure.hint).first)
        }
    }

    /// The issuers that may have issued the certificate. If the state does not say which of several CAs issued it, each
    /// of them is asked in turn, since only the CA that issued it can revoke it.
    private func issuers(of certificate: StoredCertificate, _ state: ManagedState) throws -> [Issuer] {
        let names = certificate.issuerNames
        guard let source = certificate.facts.source.provider, source.canRevoke, !names.isEmpty else {
            throw CommandFailure(message: "the certificate '\(name)' is of no CA that Aegis can ask to revoke it")
        }
        let all = names.compactMap { state.issuers[$0] }.filter { type(of: $0.provider) == source }
        guard !all.isEmpty else {
            throw CommandFailure(message: "the issuer of '\(name)' is not in the state any more")
        }
        let issued = all.filter { $0.provider.directory == certificate.facts.directory }
        return issued.isEmpty ? all : issued
    }

    /// Takes the certificate's lease. Without it another process could replace the certificate meanwhile, and the new
    /// certificate would be marked as revoked.
    private func lease(_ store: SQLiteStateStore) throws -> LeaseKeeper {
        do {
            return try LeaseKeeper(.certificate(name), in: store)
        } catch let held as LeaseKeeper.Held {
            let other = held.lease.holder
            throw CommandFailure(
                message: "process \(other.process) on \(other.machine) is obtaining another one for '\(name)'",
                hint: "try again when it is done", status: ExitStatus.locked)
        }
    }

    /// Marks the certificate as revoked in the state and prints what happens next.
    private func end(
        _ identity: String, of certificate: StoredCertificate, _ store: SQLiteStateStore, _ holder: LeaseHolder
    ) throws {
        let now = currentTime()
        let event = AuditEvent(
            at: now, actor: holder.actor, action: "revoke", item: ItemID(.certificate, name))
        try store.commit(
            [
                .noteLoss(
                    certificate: name, fingerprint: certificate.facts.fingerprint,
                    reason: "was revoked on \(UTCTime.text(now))"), .appendEvent(event),
            ], by: holder, under: .certificate(name))
        guard try store.keptCertificate(named: name) == nil else {
            return try Terminal.print("Revoked '\(name)', \(identity).\nIt was only kept: it is not used again.\n")
        }
        let host = try store.snapshot().items[ItemID(.host, name)].flatMap { Host(record: $0.record) }
        if let host, !host.enabled, host.sslMode == .letsencrypt {
            let next = "Its host is disabled: it is not served, and replaced when the host is enabled."
            return try Terminal.print("Revoked '\(name)', \(identity).\n\(next)\n")
        }
        let next =
            certificate.facts.autoRenew
            ? "until another takes its place, which a gateway that runs sees to: or aegis-apply renew \(name)"
            : "and not replaced: its auto_renew is false; aegis-apply renew \(name) --force has it reissued"
        try Terminal.print("Revoked '\(name)', \(identity).\nIt is served on \(next)\n")
    }
}

extension StoredCertificate {
    /// The issuers that may have issued the certificate: the issuer that its declaration names, or all issuers of a
    /// host's own certificate.
    fileprivate var issuerNames: [String] {
        issuerName.map { [$0] } ?? HostCertificate(record: record)?.issuers ?? []
    }
}
